/**
 * Loads a module on first use, once. A failed load rejects, and the next call tries again.
 * The caller shows the failure.
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

  /** Loads the part. Rejects with `part-missing`; the next call tries again. @returns {Promise<Part>} */
  get() {
    this.#part ??= this.#load().catch(() => {
      this.#part = null;
      throw new ApiError('part-missing', 0);
    });
    return this.#part;
  }

  /** Runs `use` once the part has loaded, in order of the calls. Does nothing if nobody has requested the part. @param {(part: Part) => void} use */
  whenLoaded(use) {
    this.#part?.then(use, () => {}); // the caller of get() shows the failure
  }
}
