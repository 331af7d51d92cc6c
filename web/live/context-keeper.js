/**
 * Keeps one AudioContext running through what a system does to it: calls, locked screens, hidden pages, other apps.
 *
 * Owns: the context's state. Needs nothing. Leaves building another context to mic.js and speaker.js, which have
 * the nodes. iOS puts a context into `interrupted` and takes `resume()` there badly (it then says "running" with a
 * clock that stands still), so in that state this waits for the system, the page's return or a touch, and whatever
 * begins to run has to show that its clock moves.
 */

/** A clock that has not moved for so long will not. */
const CHECK_MS = 500;
/** Contexts that stand still one after the other: past that it is not the context. */
export const MOST_REBUILDS = 3;
/** Moments at which a browser may let a context run that it did not before. */
const CHANCES = ['click', 'touchend', 'keydown', 'visibilitychange', 'pageshow'];

export class ContextKeeper {
  #wanted = false;
  #disturbed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #check;
  #nudge = () => this.#resume();
  /** @type {(reason: 'interrupted' | 'resumed') => void} */
  onchange = () => {};
  /** It says that it runs and does not: build another. */
  onfrozen = () => {};

  /** @param {AudioContext} context */
  constructor(context) {
    this.context = context;
    context.onstatechange = () => this.#follow();
    for (const chance of CHANCES) globalThis.addEventListener?.(chance, this.#nudge);
  }

  /** Runs, or is about to because it was only parked. */
  get alive() {
    return this.context.state === 'running' || !this.#wanted;
  }

  /** From now on it is to run. The first call belongs inside a click: iOS listens only there. */
  resume() {
    this.#wanted = true;
    this.#resume();
  }

  /** Saves battery, and a headset its radio, until the next `resume()`. */
  park() {
    this.#wanted = false;
    this.context.suspend().catch(() => {});
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#check);
    for (const chance of CHANCES) globalThis.removeEventListener?.(chance, this.#nudge);
    this.context.onstatechange = null;
    this.context.close().catch(() => {});
  }

  #resume() {
    if (this.#wanted && this.context.state === 'suspended') this.context.resume().catch(() => {});
  }

  #follow() {
    const state = /** @type {string} */ (this.context.state);
    clearTimeout(this.#check);
    if (!this.#wanted) return;
    if (state === 'interrupted') {
      if (!this.#disturbed) this.onchange('interrupted');
      this.#disturbed = true;
    } else if (state === 'suspended') this.#resume();
    else if (state === 'running') {
      const { currentTime } = this.context;
      this.#check = setTimeout(() => this.#verify(currentTime), CHECK_MS);
    }
  }

  /** @param {number} since */
  #verify(since) {
    if (this.context.state !== 'running') return;
    if (this.context.currentTime === since) this.onfrozen();
    else if (this.#disturbed) {
      this.#disturbed = false;
      this.onchange('resumed');
    }
  }
}
