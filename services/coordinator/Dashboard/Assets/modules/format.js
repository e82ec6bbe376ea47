// How figures are written.

const unknown = '–';
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** A count with separators. */
export const count = (value) => (known(value) ? Math.round(value).toLocaleString('en') : unknown);

/** A figure with four significant digits. */
export const figure = (value) => (known(value) ? Number(value.toPrecision(4)).toString() : unknown);

/** A share in per cent. */
export const share = (part, whole) => (known(part) && whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : unknown);

/** Bytes in binary units. */
export function bytes(value) {
  if (!known(value)) {
    return unknown;
  }

  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value < 1 ? 0 : Math.min(Math.floor(Math.log2(value) / 10), units.length - 1);
  return `${(value / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** Seconds as 0.42 s, 12 s, 3 min 20 s, or 2 h 5 min. */
export function seconds(value) {
  if (!known(value)) {
    return unknown;
  }

  if (value < 10) {
    return `${value.toFixed(2)} s`;
  }

  const whole = Math.round(value);
  if (whole < 60) {
    return `${whole} s`;
  }

  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${whole % 60} s`
    : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** How long ago a time was. */
export function ago(time) {
  const passed = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  return passed < 2 ? 'just now' : `${seconds(Math.round(passed))} ago`;
}

/** A moment in the reader's own time. */
export const moment = (time) => new Date(time).toLocaleString();

/** A word of the interface as a reader sees it. */
export const word = (name) => name.replaceAll('_', ' ');

/** client-2 goes before client-10. */
export const natural = new Intl.Collator('en', { numeric: true }).compare;

/** Colours of states; the word stands beside them always. */
export const badge = (status) => ({ running: 'active', finished: 'good', failed: 'bad', cancelled: 'warn' }[status] ?? 'plain');
