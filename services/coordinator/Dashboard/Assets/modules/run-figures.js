import { element, fillFigures, setText } from './dom.js';
import { bytes, count, figure, moment, seconds, share } from './format.js';

/** What the run is and how far it has come. */
export function showFacts(list, account, { spec, summary }) {
  const remaining = summary.status === 'running' ? account.remainingSeconds() : null;
  const last = [...account.evaluations.values()].at(-1);
  const accuracy = last?.metrics.accuracy;
  fillFigures(list, [
    ['Time left', remaining === null ? '–' : seconds(Math.round(remaining))],
    ['Held-out accuracy', Number.isFinite(accuracy) ? share(accuracy, 1) : '–'],
    ['Epochs', count(spec.training.epochs)],
    ['Training samples', count(account.plan?.train_samples)],
    ['Frozen blocks', count(spec.model.boundary)],
    ['Order', spec.training.order],
    ['Last checkpoint', account.checkpoint ? `step ${count(account.checkpoint.step)}` : '–'],
    ['Missing samples', count(summary.failed_samples)],
    ['Submitted', moment(summary.created)],
    ['Worked for', account.end ? seconds(account.end.wall_seconds) : '–'],
  ]);
}

/** The trainer's time, as a bar: what it computed and what it waited for data. */
export function showTrainerTime(parent, account) {
  const { compute, wait } = account.totals();
  const text = compute + wait > 0
    ? `The trainer computed ${share(compute, compute + wait)} of the time (${seconds(compute)}) and waited for data ${share(wait, compute + wait)} (${seconds(wait)}).`
    : 'The trainer has taken no step yet.';
  if (parent.childElementCount === 0) {
    parent.append(element('p'), element('div', { class: 'bar', 'aria-hidden': 'true' }, element('span', { class: 'compute' }), element('span', { class: 'wait' })));
  }

  setText(parent.firstElementChild, text);
  const [computing, waiting] = parent.lastElementChild.children;
  computing.style.flexGrow = compute;
  waiting.style.flexGrow = wait;
}

/** What flows from the devices to the trainer. */
export function showFlow(list, account) {
  const totals = account.totals();
  const all = account.plan ? account.plan.train_samples + account.plan.evaluation_samples : null;
  fillFigures(list, [
    ['Trainer starved', share(totals.wait, totals.compute + totals.wait)],
    ['Device forward time', seconds(totals.forward)],
    ['Computed by devices', `${count(totals.computed)} samples`],
    ['In the cache at the start', account.plan ? `${count(account.cachedAtFirst)} of ${count(all)} samples` : '–'],
    ['Bytes published', bytes(totals.published)],
    ['Bytes taken in', bytes(totals.ingestedBytes)],
    ['Bytes per sample', totals.ingested > 0 ? bytes(totals.ingestedBytes / totals.ingested) : '–'],
    ['Learning rate', figure(account.orderedSteps().at(-1)?.learning_rate)],
  ]);
}
