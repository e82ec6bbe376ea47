/** An answer of the interface, or an error with what it said. Where a token is missing, the sign-in page takes over. */
export async function get(path) {
  const response = await fetch(path, { headers: { accept: 'application/json' }, cache: 'no-store' });
  if (response.status === 401) {
    location.replace(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
  }

  const body = await response.json().catch(() => null);
  if (!response.ok) {
    throw Object.assign(new Error(body?.errors?.join(' ') ?? `${path} answered ${response.status}.`), { status: response.status });
  }

  return body;
}

/** Does something now and again after each end of it; it waits while the page is hidden, and says by its result whether to go on. */
export function repeat(action, milliseconds) {
  const run = async () => {
    if (document.hidden) {
      document.addEventListener('visibilitychange', run, { once: true });
    } else if (await action() !== false) {
      setTimeout(run, milliseconds);
    }
  };
  run();
}

/**
 * Follows a run's events. The browser connects again by itself and names the last event that it has seen; where it gives up, as it does
 * when a proxy answers in the coordinator's place, all events are read anew.
 */
export class EventFeed {
  #path;
  #observer;
  #source = null;
  #interrupted = false;

  /** The observer has restart(), event(event) and connected(isConnected). */
  constructor(runId, observer) {
    this.#path = `/api/runs/${encodeURIComponent(runId)}/events`;
    this.#observer = observer;
  }

  /** Whether events are read or asked for. */
  get isOpen() {
    return this.#source !== null;
  }

  /** Whether the stream has ended or broken off, and the browser will ask for the rest. */
  get isInterrupted() {
    return this.#interrupted;
  }

  open() {
    this.close();
    this.#observer.restart();
    const source = new EventSource(this.#path);
    this.#source = source;
    this.#interrupted = false;
    source.onopen = () => {
      this.#interrupted = false;
      this.#observer.connected(true);
    };
    source.onmessage = (message) => this.#observer.event(JSON.parse(message.data));
    source.onerror = () => {
      this.#interrupted = true;
      this.#observer.connected(false);
      if (source.readyState === EventSource.CLOSED && this.#source === source) {
        this.#source = null;
      }
    };
  }

  close() {
    this.#source?.close();
    this.#source = null;
  }
}
