/**
 * Counts a wait down, by a clock that no one can set back.
 * Needs: seconds. Leaves: how it is shown to whoever asked.
 */

/** Often enough that no second is skipped on a busy page. */
const TICK_MS = 200;

export class Countdown {
  #timer = 0;

  /**
   * @param {number} seconds
   * @param {(left: number, share: number) => void} onTick  whole seconds left, and the share of the wait that is left
   * @param {() => void} onDone
   */
  start(seconds, onTick, onDone) {
    this.stop();
    const until = performance.now() + seconds * 1000;
    const tick = () => {
      const leftMs = until - performance.now();
      if (leftMs > 0) return onTick(Math.ceil(leftMs / 1000), leftMs / (seconds * 1000));
      this.stop();
      onDone();
    };
    this.#timer = window.setInterval(tick, TICK_MS);
    tick();
  }

  stop() {
    window.clearInterval(this.#timer);
    this.#timer = 0;
  }

  get running() {
    return this.#timer !== 0;
  }
}

/** "0:42", and "1:05:00" for the rare long one. @param {number} seconds */
export function clockWords(seconds) {
  const two = (/** @type {number} */ part) => String(part).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  const head = minutes < 60 ? String(minutes) : `${Math.floor(minutes / 60)}:${two(minutes % 60)}`;
  return `${head}:${two(seconds % 60)}`;
}
