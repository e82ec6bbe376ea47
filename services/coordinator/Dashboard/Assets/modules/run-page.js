import { EventFeed, get, repeat } from './api.js';
import { Chart } from './chart.js';
import { byId, setText } from './dom.js';
import { RunAccount } from './run-account.js';
import { RunTables } from './run-tables.js';
import { showSession } from './session.js';
import { showFacts, showFlow, showTrainerTime } from './run-figures.js';
import { count, word } from './format.js';

const runId = decodeURIComponent(location.pathname.split('/').at(-1));
const lossChart = new Chart(byId('loss-chart'), 'Training loss', 'step');
const metricChart = new Chart(byId('metric-chart'), 'Held-out metrics', 'epoch');
const timeChart = new Chart(byId('time-chart'), 'Seconds per step', 'step');
const tables = new RunTables();

let account = new RunAccount();
let detail = null;
let devices = [];
let connected = false;
let drawing = false;

const feed = new EventFeed(runId, {
  restart: () => { account = new RunAccount(); },
  event: (event) => {
    account.observe(event);
    draw();
  },
  connected: (isConnected) => {
    connected = isConnected;
    draw();
  },
});

/** Draws soon: events may come by the hundred, as they do when a finished run is opened. */
function draw() {
  if (!drawing) {
    drawing = true;
    setTimeout(() => {
      drawing = false;
      drawNow();
    }, 250);
  }
}

function drawNow() {
  if (!detail) {
    return;
  }

  const steps = account.orderedSteps();
  const numbers = steps.map(RunAccount.applied);
  lossChart.show(numbers, [{ name: 'loss', values: steps.map(RunAccount.loss) }]);
  timeChart.show(numbers, [
    { name: 'computing', values: steps.map((step) => step.compute_seconds) },
    { name: 'waiting for data', values: steps.map((step) => step.wait_seconds) },
  ]);
  showMetrics();
  showProgress(steps.length > 0 ? RunAccount.applied(steps.at(-1)) : detail.summary.step);
  showFacts(byId('facts'), account, detail);
  showTrainerTime(byId('trainer-time'), account);
  showFlow(byId('flow'), account);
  tables.show(account, detail, devices);
}

function showMetrics() {
  const evaluations = [...account.evaluations.values()].sort((a, b) => a.epochs_trained - b.epochs_trained);
  const names = [...new Set(evaluations.flatMap((evaluation) => Object.keys(evaluation.metrics)))].sort();
  const value = (evaluation, name) => (Number.isFinite(evaluation.metrics[name]) ? evaluation.metrics[name] : null);
  metricChart.show(
    evaluations.map((evaluation) => evaluation.epochs_trained),
    names.map((name) => ({ name: word(name), values: evaluations.map((evaluation) => value(evaluation, name)) })));
}

function showProgress(step) {
  const { summary } = detail;
  const total = account.plan?.total_steps ?? summary.total_steps;
  byId('progress').value = total > 0 ? step / total : 0;
  setText(byId('progress-text'), total > 0 ? `step ${count(step)} of ${count(total)}` : 'not planned yet');
  const live = !isOpen(summary) ? '' : connected ? ' Live.' : ' Connecting…';
  setText(byId('status'), `The run is ${word(summary.status)}.${live}`);
  const reason = summary.reason ?? '';
  setText(byId('reason'), reason);
  byId('reason').hidden = reason === '';
}

function showTrace() {
  const link = byId('trace');

  // The address is configured, but no setting may make a link that runs a script.
  link.hidden = !/^https?:\/\//i.test(detail.trace_url ?? '');
  if (!link.hidden) {
    link.href = detail.trace_url;
  }
}

const isOpen = (summary) => summary.status === 'running' || summary.status === 'pending';

async function refresh() {
  try {
    const first = detail === null;
    [detail, devices] = await Promise.all([get(`/api/runs/${encodeURIComponent(runId)}`), get('/api/devices')]);
    showTrace();

    // The server ends the stream of a run that is over; a browser would ask for it again and again. A run that was resumed is read anew.
    if (isOpen(detail.summary) ? !feed.isOpen : first) {
      feed.open();
    } else if (!isOpen(detail.summary) && feed.isInterrupted) {
      feed.close();
    }

    draw();
  } catch (error) {
    setText(byId('status'), error.status === 404 ? error.message : `The coordinator does not answer; asking again. ${error.message}`);
    return error.status !== 404;
  }
}

setText(byId('title'), `Run ${runId}`);
document.title = `${runId} · SplitFrozen`;
repeat(refresh, 2000);
repeat(async () => await showSession().catch(() => null) === null, 2000);
