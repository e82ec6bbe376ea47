import uPlot from '../vendor/uplot/uPlot.esm.js';
import { element, setText } from './dom.js';
import { figure } from './format.js';
import { Table } from './table.js';

const rowsInTable = 200;
const dark = matchMedia('(prefers-color-scheme: dark)');
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A line chart with a legend, a summary for those who do not see it, and its latest values as a table. */
export class Chart {
  #caption;
  #axis;
  #frame;
  #legend;
  #summary;
  #details;
  #table;
  #plot = null;
  #names = [];
  #columns = [[]];

  /** @param axis What the horizontal axis counts, for example "step". */
  constructor(parent, caption, axis) {
    this.#caption = caption;
    this.#axis = axis;
    this.#frame = element('div', { class: 'plot', 'aria-hidden': 'true' });
    this.#legend = element('p', { class: 'legend', 'aria-hidden': 'true' });
    this.#summary = element('p', { class: 'summary' }, 'Nothing to show yet.');
    this.#details = element('details', {}, element('summary', {}, `Values of “${caption}”`), element('div'));
    this.#details.hidden = true;
    this.#details.addEventListener('toggle', () => this.#showTable());
    parent.replaceChildren(element('figure', {},
      element('figcaption', {}, caption), this.#legend, this.#frame, this.#summary, this.#details));
    new ResizeObserver(() => this.#resize()).observe(this.#frame);
    dark.addEventListener('change', () => this.#draw());
  }

  /** Shows lines, { name, values } each, over common abscissas; null is a gap. */
  show(abscissas, lines) {
    const names = lines.map((line) => line.name);
    this.#columns = [abscissas, ...lines.map((line) => line.values)];
    this.#details.hidden = abscissas.length === 0;
    this.#frame.dataset.points = abscissas.length;
    setText(this.#summary, this.#describe(names));
    if (this.#plot && names.join() === this.#names.join()) {
      this.#plot.setData(this.#columns);
    } else {
      this.#names = names;
      this.#draw();
    }

    this.#showTable();
  }

  #describe(names) {
    const [abscissas, ...columns] = this.#columns;
    if (abscissas.length === 0) {
      return 'Nothing to show yet.';
    }

    return names.map((name, index) => {
      const values = columns[index].filter((value) => value !== null);
      return values.length === 0
        ? `${name}: no values.`
        : `${name}: ${figure(values.at(-1))} at ${this.#axis} ${abscissas.at(-1)}; from ${figure(values[0])}, lowest ${figure(low(values))}, highest ${figure(high(values))}.`;
    }).join(' ');
  }

  #draw() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#legend.replaceChildren(...this.#names.map((name, index) => element('span', { class: `line-${index + 1}` }, name)));
    if (this.#names.length === 0 || this.#columns[0].length === 0) {
      this.#names = [];
      return;
    }

    const axis = { stroke: colour('--muted'), grid: { stroke: colour('--rule'), width: 1 }, ticks: { stroke: colour('--rule'), width: 1 }, font: '12px system-ui, sans-serif' };
    this.#plot = new uPlot({
      width: this.#frame.clientWidth || 300,
      height: 220,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: wide }, y: { range: padded } },
      axes: [{ ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000] }, { ...axis, size: 56 }],
      series: [{}, ...this.#names.map((name, index) => ({
        label: name, stroke: colour(`--line-${index + 1}`), width: 2, dash: index === 1 ? [6, 3] : index === 2 ? [2, 3] : undefined, spanGaps: true,
      }))],
    }, this.#columns, this.#frame);
  }

  #resize() {
    const width = this.#frame.clientWidth;
    if (this.#plot && width > 0 && width !== this.#plot.width) {
      this.#plot.setSize({ width, height: this.#plot.height });
    }
  }

  #showTable() {
    if (!this.#details.open) {
      return;
    }

    this.#table ??= new Table(
      this.#details.lastElementChild, `${this.#caption}: the latest ${rowsInTable} values`,
      [this.#axis, ...this.#names].map((title) => ({ title, number: true })), 'No values yet.');
    const from = Math.max(0, this.#columns[0].length - rowsInTable);
    this.#table.show(this.#columns[0].slice(from).map((x, row) =>
      [`${x}`, ...this.#columns.slice(1).map((values) => figure(values[from + row]))]));
  }
}

// Not Math.min(...values): a long run has more values than a call may have arguments.
const low = (values) => values.reduce((a, b) => Math.min(a, b));
const high = (values) => values.reduce((a, b) => Math.max(a, b));

function wide(_, from, to) {
  return from === to ? [from - 1, to + 1] : [from, to];
}

function padded(_, from, to) {
  const room = to > from ? (to - from) * 0.08 : Math.abs(from) * 0.1 || 1;
  return [from >= 0 && from - room < 0 ? 0 : from - room, to + room];
}
