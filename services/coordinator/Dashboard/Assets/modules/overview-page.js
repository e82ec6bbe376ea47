import { get, repeat } from './api.js';
import { byId, setText } from './dom.js';
import { badge, bytes, count, moment, seconds, word } from './format.js';
import { heard, profile, state } from './devices.js';
import { showSession } from './session.js';
import { Table } from './table.js';

const runsTable = new Table(byId('runs-table'), 'Runs, the newest first', [
  { title: 'Run' }, { title: 'Status' }, { title: 'Progress' }, { title: 'Time left', number: true }, { title: 'Missing samples', number: true },
  { title: 'Submitted' }, { title: 'Why it failed', wide: true },
], 'No run yet. Hand one in with “splitfrozen submit”.');
const devicesTable = new Table(byId('devices-table'), 'Device workers', [
  { title: 'Device' }, { title: 'State' }, { title: 'Last heard' }, { title: 'What it can do' }, { title: 'Own data' }, { title: 'Clients', number: true },
], 'No device worker has announced itself yet.');

const lettersTable = new Table(byId('refused-table'), 'Dead letters, the newest first', [
  { title: 'Run' }, { title: 'Client' }, { title: 'Size', number: true }, { title: 'Reason', wide: true },
], 'No message was refused.');

// The list tells where a run stands, not how fast it goes: that is seen between two looks at it.
const firstSeen = new Map();

function remaining(run) {
  if (run.status !== 'running' || run.total_steps === 0) {
    return '–';
  }

  const now = performance.now();
  const first = firstSeen.get(run.run_id);
  if (!first || run.step < first.step) {
    firstSeen.set(run.run_id, { step: run.step, at: now });
    return 'measuring…';
  }

  return run.step > first.step
    ? seconds(Math.round(((now - first.at) / 1000 / (run.step - first.step)) * (run.total_steps - run.step)))
    : 'measuring…';
}

function runRow(run) {
  const done = run.total_steps > 0 ? run.step / run.total_steps : 0;
  return [
    { text: run.run_id, href: `/runs/${encodeURIComponent(run.run_id)}` },
    { text: word(run.status), badge: badge(run.status) },
    { text: run.total_steps > 0 ? `step ${count(run.step)} of ${count(run.total_steps)}` : 'not planned yet', progress: done, label: `Progress of ${run.run_id}` },
    remaining(run),
    count(run.failed_samples),
    moment(run.created),
    run.reason ?? '–',
  ];
}

const deviceRow = (device) => [
  device.device, state(device), heard(device), profile(device.profile), device.has_own_data ? 'yes' : 'no', count(device.clients.length),
];

async function refresh() {
  try {
    const [runs, devices] = await Promise.all([get('/api/runs'), get('/api/devices')]);
    runsTable.show(runs.map(runRow));
    devicesTable.show(devices.map(deviceRow));
    const active = runs.filter((run) => run.status === 'running').length;
    setText(byId('status'), `${count(active)} of ${count(runs.length)} runs in work; ${count(devices.filter((device) => device.alive).length)} of ${count(devices.length)} devices alive.`);
  } catch (error) {
    setText(byId('status'), `The coordinator does not answer; asking again. ${error.message}`);
  }
}

/** The broker hands over every letter to have them counted, so they are looked at more rarely. */
async function refreshLetters() {
  try {
    const letters = await get('/api/dead-letters');
    lettersTable.show(letters.map((letter) => [letter.run_id || '–', letter.client_id || '–', bytes(letter.bytes), letter.reason]));
    setText(byId('refused-summary'), '');
  } catch (error) {
    setText(byId('refused-summary'), `They cannot be read now; asking again. ${error.message}`);
  }
}

repeat(refresh, 2000);

// Until it is known who looks, nothing is shown that only an administrator may see.
repeat(async () => {
  const session = await showSession().catch(() => null);
  if (session?.role === 'admin') {
    byId('refused').hidden = byId('refused-link').hidden = false;
    repeat(refreshLetters, 30000);
  }

  return session === null;
}, 2000);
