/**
 * What a worklet hears or plays, for a recorder as well. Owns: packing samples with the time they belong to.
 * Needs pcm.js. Costs nothing while nobody records.
 */
import { floatToInt16 } from '../shared/pcm.js';

/**
 * `frame` counts the worklet's samples, also those that were left out; `at` is the time after the last one of these.
 * @typedef {{at: number, frame: number, samples: Int16Array<ArrayBuffer>}} Piece
 */

export class RecordingTap {
  /** @type {MessagePort | null} */
  #port = null;
  #samples;
  #filled = 0;
  #frame = 0;

  /** @param {number} length samples of a piece at most */
  constructor(length) {
    this.#samples = new Int16Array(length);
  }

  /** @param {MessagePort | null} port null: nobody records any more */
  to(port) {
    this.flush();
    this.#port?.close();
    this.#port = port;
  }

  /** @param {number} frame of the first sample @param {Float32Array} block @param {number} count */
  write(frame, block, count) {
    if (!this.#port) return;
    if (isSilent(block, count)) return this.flush(); // silence takes no room
    if (frame !== this.#frame + this.#filled) this.flush();
    for (let i = 0; i < count; i++) {
      if (this.#filled === 0) this.#frame = frame + i;
      this.#samples[this.#filled++] = floatToInt16(block[i]);
      if (this.#filled === this.#samples.length) this.flush();
    }
  }

  /** Gives out what there is. */
  flush() {
    if (this.#filled > 0) {
      const samples = this.#samples.slice(0, this.#filled);
      this.#port?.postMessage({ at: Date.now(), frame: this.#frame, samples }, [samples.buffer]);
    }
    this.#filled = 0;
  }
}

/** @param {Float32Array} block @param {number} count */
function isSilent(block, count) {
  for (let i = 0; i < count; i++) if (block[i] !== 0) return false;
  return true;
}
