/**
 * Counts a wait down. It goes on while the device sleeps, which `performance.now()` does not. The caller shows the time left.
 */

/** Short enough that a busy page skips no second. */
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
    const until = Date.now() + seconds * 1000;
    const tick = () => {
      const leftMs = until - Date.now();
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

/** "0:42", or "1:05:00" for an hour and more. @param {number} seconds */
export function clockWords(seconds) {
  const two = (/** @type {number} */ part) => String(part).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  const head = minutes < 60 ? String(minutes) : `${Math.floor(minutes / 60)}:${two(minutes % 60)}`;
  return `${head}:${two(seconds % 60)}`;
}
