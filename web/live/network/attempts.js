/**
 * The attempts to replace a broken connection: when the next one starts, and when there are no more.
 * Leaves the decision about one failure to reconnect-policy.js, and the connections to resilient-connection.js.
 */
import { NO_OUTAGE, nextStep } from './reconnect-policy.js';

/** After a failure, an offline browser tries now and then: it may be wrong about being offline. */
const OFFLINE_RETRY_MS = 30_000;
/** A service that breaks more connections than this in ten minutes gets no more tokens, even if each gave an answer. */
const MAX_BREAKS = 60;
/** Of them, those that gave no answer. */
const MAX_UNANSWERED = 12;
const BREAKS_WINDOW_MS = 600_000;

export class Attempts {
  #report;
  #outage = NO_OUTAGE;
  /** The broken connections of the last ten minutes. @type {{at: number, answered: boolean}[]} */
  #breaks = [];
  online = true;
  #wake = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {(report: import('./messages.js').NetworkReport) => void} report */
  constructor(report) {
    this.#report = report;
  }

  /** The next failure is a new problem. @param {number} [attempt] how many attempts count as made */
  reset(attempt = 0) {
    this.#outage = { ...NO_OUTAGE, attempt };
  }

  /** A connection broke. @param {number} at epoch milliseconds @param {boolean} answered it gave an answer */
  broke(at, answered) {
    this.#breaks = [...this.#breaks.filter((one) => at - one.at < BREAKS_WINDOW_MS), { at, answered }];
  }

  get #tooMany() {
    const unanswered = this.#breaks.filter(({ answered }) => !answered);
    return this.#breaks.length > MAX_BREAKS || unanswered.length > MAX_UNANSWERED;
  }

  /**
   * Waits for the next attempt. Returns null when there is none, otherwise whether to give the handle up.
   * @param {import('../shared/errors.js').LiveError} error @param {import('./reconnect-policy.js').Phase} phase
   */
  async next(error, phase) {
    const step = nextStep(error, phase, this.#outage);
    if (step.stop || this.#tooMany) return null;
    const { attempt, delayMs, seed } = step;
    this.#outage = this.online ? step : { ...step, attempt: 0 };
    this.#report({ type: 'reconnecting', attempt, delayMs, reason: error.detail });
    // What a browser says about being offline may be wrong. Only a failed attempt shows it.
    const wait = this.online || phase === 'open' ? delayMs : OFFLINE_RETRY_MS;
    await new Promise((resolve) => {
      this.#wake = () => resolve(null);
      this.#timer = setTimeout(this.#wake, wait);
    });
    return { seed };
  }

  /** @param {boolean} online */
  setOnline(online) {
    this.online = online;
    if (online) {
      this.#outage = { ...this.#outage, attempt: 0 };
      this.stop();
    }
  }

  /** Ends the wait. */
  stop() {
    clearTimeout(this.#timer);
    this.#wake();
  }
}
