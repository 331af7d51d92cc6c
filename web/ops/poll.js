/**
 * Does something again and again: not while nobody looks, slower while it fails, one at a time.
 * Owns: the timer and the running request. Leaves: what is done, and how a fault is shown, to the view.
 */

const LONGEST_MS = 120_000;

export class Poll {
  #work;
  #everyMs;
  #failed;
  #failures = 0;
  #timer = 0;
  /** Ends with the view. */
  #life = new AbortController();
  /** Ends the request that runs, when a newer one takes its place. @type {AbortController | null} */
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
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) window.clearTimeout(this.#timer);
      else this.now();
    }, { signal: this.#life.signal });
  }

  /** At once; what runs already is given up. */
  now() {
    void this.#run();
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
      const askedMs = 1000 * (/** @type {{retryAfterSeconds?: number}} */ (error).retryAfterSeconds ?? 0);
      waitMs = Math.max(askedMs, Math.min(LONGEST_MS, this.#everyMs * 2 ** this.#failures));
      this.#failed(error);
    }
    if (mine.signal.aborted || this.#life.signal.aborted) return;
    this.#running = null;
    if (!document.hidden) this.#timer = window.setTimeout(() => this.now(), waitMs);
  }
}
