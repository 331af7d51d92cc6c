/**
 * A part of the page whose code comes with its first use. Owns: the one fetch of it. Needs: nothing.
 * Leaves: what to tell people when it does not come to whoever asked.
 */
import { ApiError } from '../common/api.js';

/** @template Part */
export class Lazy {
  #load;
  /** @type {Promise<Part> | null} */
  #part = null;

  /** @param {() => Promise<Part>} load */
  constructor(load) {
    this.#load = load;
  }

  /** Rejects with `part-missing`; the next call tries again. @returns {Promise<Part>} */
  get() {
    this.#part ??= this.#load().catch(() => {
      this.#part = null;
      throw new ApiError('part-missing', 0);
    });
    return this.#part;
  }

  /** For what matters only to a part that has been asked for, in order. @param {(part: Part) => void} use */
  whenLoaded(use) {
    this.#part?.then(use, () => {}); // whoever asked for it tells that it did not come
  }
}
