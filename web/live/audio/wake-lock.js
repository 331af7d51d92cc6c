/**
 * Keeps the screen on while people talk. Owns: the lock. Needs nothing. Browsers take it away whenever the page
 * hides and refuse it as they like (low battery, home-screen apps): both are normal, and nothing depends on it.
 */
export class WakeLock {
  /** @type {WakeLockSentinel | null} */
  #lock = null;
  #held = false;
  #ask = async () => {
    try {
      const lock = await navigator.wakeLock.request('screen');
      if (this.#held) this.#lock = lock;
      else await lock.release();
    } catch {
      // the screen may go dark, then
    }
  };

  /** Call it inside the click. */
  hold() {
    if (this.#held || !navigator.wakeLock) return;
    this.#held = true;
    globalThis.addEventListener('visibilitychange', this.#ask);
    void this.#ask();
  }

  release() {
    this.#held = false;
    globalThis.removeEventListener?.('visibilitychange', this.#ask);
    this.#lock?.release().catch(() => {});
    this.#lock = null;
  }
}
