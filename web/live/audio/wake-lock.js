/**
 * Keeps the screen on during a conversation. Nothing depends on it: browsers drop the lock when the page is hidden, and
 * may refuse it at any time (low battery, home-screen apps).
 */
export class WakeLock {
  /** @type {WakeLockSentinel | null} */
  #lock = null;
  #held = false;
  #request = async () => {
    try {
      const lock = await navigator.wakeLock.request('screen');
      if (this.#held) this.#lock = lock;
      else await lock.release();
    } catch {
      // Then the screen may go dark.
    }
  };

  /** Call it inside the click. */
  hold() {
    if (this.#held || !navigator.wakeLock) return;
    this.#held = true;
    globalThis.addEventListener('visibilitychange', this.#request);
    void this.#request();
  }

  release() {
    this.#held = false;
    globalThis.removeEventListener?.('visibilitychange', this.#request);
    this.#lock?.release().catch(() => {});
    this.#lock = null;
  }
}
