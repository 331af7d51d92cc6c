/**
 * Repeats a request at an interval: one at a time, slower after failures, and not while the tab is hidden.
 * The view shows the result and the errors.
 */

const LONGEST_MS = 120_000;

export class Poll {
  #work;
  #everyMs;
  #failed;
  #failures = 0;
  #timer = 0;
  /** Aborted when the view closes. */
  #life = new AbortController();
  /** Aborts the running request when a newer one replaces it. @type {AbortController | null} */
  #running = null;

  /**
   * @param {number} everyMs
   * @param {(signal: AbortSignal) => Promise<void>} work
   * @param {(error: unknown) => void} failed
   */
  constructor(everyMs, work, failed) {
    this.#everyMs = everyMs;
    this.#work = work;
    this.#failed = failed;
    document.addEventListener(
      'visibilitychange',
      () => {
        if (document.hidden) window.clearTimeout(this.#timer);
        else this.now();
      },
      { signal: this.#life.signal },
    );
  }

  /** Runs at once. Aborts a running request. */
  now() {
    void this.#run();
  }

  /** Stops until the next call of `now`. */
  pause() {
    this.#running?.abort();
    window.clearTimeout(this.#timer);
  }

  close() {
    this.#life.abort();
    this.#running?.abort();
    window.clearTimeout(this.#timer);
  }

  async #run() {
    if (this.#life.signal.aborted) return;
    window.clearTimeout(this.#timer);
    this.#running?.abort();
    const mine = new AbortController();
    this.#running = mine;
    let waitMs = this.#everyMs;
    try {
      await this.#work(mine.signal);
      this.#failures = 0;
    } catch (error) {
      if (mine.signal.aborted) return;
      this.#failures += 1;
      const { retryAfterSeconds = 0 } = /** @type {{retryAfterSeconds?: number}} */ (error);
      waitMs = Math.max(1000 * retryAfterSeconds, Math.min(LONGEST_MS, this.#everyMs * 2 ** this.#failures));
      this.#failed(error);
    }
    if (mine.signal.aborted || this.#life.signal.aborted) return;
    this.#running = null;
    if (!document.hidden) this.#timer = window.setTimeout(() => this.now(), waitMs);
  }
}
