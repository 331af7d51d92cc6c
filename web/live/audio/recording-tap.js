/**
 * Copies a worklet's audio to a recorder, as chunks of samples with their time. Costs nothing while nobody records.
 */
import { floatToInt16 } from '../shared/pcm.js';

export class RecordingTap {
  /** @type {MessagePort | null} */
  #port = null;
  #samples;
  #filled = 0;
  #frame = 0;

  /** @param {number} length the highest number of samples in a chunk */
  constructor(length) {
    this.#samples = new Int16Array(length);
  }

  /** @param {MessagePort | null} port null: recording has stopped */
  sendTo(port) {
    this.flush();
    this.#port?.close();
    this.#port = port;
  }

  /** @param {number} frame number of the first sample @param {Float32Array} block @param {number} count */
  write(frame, block, count) {
    if (!this.#port) return;
    if (isSilent(block, count)) return this.flush(); // silence is not stored
    if (frame !== this.#frame + this.#filled) this.flush();
    for (let i = 0; i < count; i++) {
      if (this.#filled === 0) this.#frame = frame + i;
      this.#samples[this.#filled++] = floatToInt16(block[i]);
      if (this.#filled === this.#samples.length) this.flush();
    }
  }

  /** Sends the samples collected so far. */
  flush() {
    if (this.#filled > 0) {
      const samples = this.#samples.slice(0, this.#filled);
      /** @type {import('../shared/audio-messages.js').RecordedChunk} */
      const chunk = { at: Date.now(), frame: this.#frame, samples };
      this.#port?.postMessage(chunk, [samples.buffer]);
    }
    this.#filled = 0;
  }
}

/** @param {Float32Array} block @param {number} count */
function isSilent(block, count) {
  for (let i = 0; i < count; i++) if (block[i] !== 0) return false;
  return true;
}
