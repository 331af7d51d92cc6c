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

/** "0:42" @param {number} seconds */
export function clockWords(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
