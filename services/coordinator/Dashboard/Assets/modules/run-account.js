/** Client of the held-out split; it takes no part in training. */
export const evaluationClient = 'evaluation';

const number = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);

/** The account of a run, built from its events alone. A step that was repeated after a checkpoint counts once, with its later figures. */
export class RunAccount {
  constructor() {
    this.plan = null;
    this.cachedAtFirst = null;
    this.steps = new Map();
    this.evaluations = new Map();
    this.clients = new Map();
    this.incidents = [];
    this.refusedMessages = 0;
    this.end = null;
    this.started = null;
    this.checkpoint = null;
  }

  /** Takes one event. Kinds that it does not know are passed over: a newer coordinator may have them. */
  observe(event) {
    switch (event.event) {
      case 'run_started':
        [this.started, this.end] = [event, null];
        break;
      case 'run_planned':
        this.#planned(event);
        break;
      case 'device_progress':
        this.#progress(event);
        break;
      case 'activations_ingested': {
        const client = this.client(event.client);
        client.ingested += event.samples;
        client.ingestedBytes += event.bytes;
        break;
      }
      case 'step_applied':
        this.steps.set(event.step, event);
        break;
      case 'evaluation_finished':
        this.evaluations.set(event.epochs_trained, event);
        break;
      case 'checkpoint_written':
        this.checkpoint = event;
        break;
      case 'message_rejected':
        this.refusedMessages += event.messages;
        this.client(event.client).refused += event.messages;
        this.incidents.push({ time: event.time, client: event.client, what: 'message refused', count: event.messages, reason: event.reason });
        break;
      case 'samples_failed':
        this.incidents.push({ time: event.time, client: event.client, what: 'samples missing', count: event.samples, reason: event.reason });
        break;
      case 'run_ended':
        this.end = event;
        break;
    }
  }

  client(name) {
    let client = this.clients.get(name);
    if (!client) {
      client = { name, samples: null, computed: 0, ingested: 0, ingestedBytes: 0, bytes: 0, tokens: 0, computeSeconds: 0, refused: 0 };
      this.clients.set(name, client);
    }

    return client;
  }

  /** Applied steps in order. */
  orderedSteps() {
    return [...this.steps.values()].sort((a, b) => a.step - b.step);
  }

  /** Seconds to the end by the rate of the latest steps; null where there is none to tell. */
  remainingSeconds() {
    const latest = this.orderedSteps().slice(-50);
    if (!this.plan || this.end || latest.length < 2) {
      return null;
    }

    const passed = (Date.parse(latest.at(-1).time) - Date.parse(latest[0].time)) / 1000;
    return (passed / (latest.length - 1)) * Math.max(0, this.plan.total_steps - RunAccount.applied(latest.at(-1)));
  }

  /** Sums over the run. */
  totals() {
    const totals = { compute: 0, wait: 0, forward: 0, published: 0, ingestedBytes: 0, computed: 0, ingested: 0 };
    for (const step of this.steps.values()) {
      totals.compute += step.compute_seconds;
      totals.wait += step.wait_seconds;
    }

    for (const client of this.clients.values()) {
      totals.forward += client.computeSeconds;
      totals.published += client.bytes;
      totals.ingestedBytes += client.ingestedBytes;
      totals.computed += client.computed;
      totals.ingested += client.ingested;
    }

    return totals;
  }

  /** Samples of a client that the cache had; null until it is certain that no device will compute them any more. */
  fromCache(client) {
    const all = this.plan ? this.plan.train_samples + this.plan.evaluation_samples : 0;
    const settled = this.end?.status === 'finished' || (all > 0 && this.totals().computed + this.cachedAtFirst >= all);
    return settled && client.samples !== null ? Math.max(0, client.samples - client.computed) : null;
  }

  /** Steps applied with this one: events number them from 0. */
  static applied(step) {
    return step.step + 1;
  }

  /** A step's loss; null where all of its samples had failed. */
  static loss(step) {
    return number(step.loss);
  }

  #planned(event) {
    this.plan = event;
    this.cachedAtFirst ??= event.cached_samples;
    for (const [name, samples] of Object.entries(event.samples_per_client)) {
      this.client(name).samples = samples;
    }
  }

  #progress(event) {
    const client = this.client(event.client);
    client.computed += event.samples;
    client.bytes += event.bytes;
    client.tokens += event.tokens;
    client.computeSeconds += event.compute_seconds;
  }
}
