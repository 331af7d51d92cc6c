/**
 * The service's sound as samples of the playback's rate, whatever rate its MIME type declares.
 *
 * Owns: alignment, and the filter's state from chunk to chunk (chunks filtered alone would click at each seam).
 * Needs base64.js, pcm.js, resampler.js. Leaves turns to network-session.js. At 24 kHz every sample passes as it came.
 */
import { decodeBase64 } from '../shared/base64.js';
import { bytesToInt16, floatToInt16, OUTPUT_RATE } from '../shared/pcm.js';
import { Resampler } from '../shared/resampler.js';

const BLOCK = 2048;
const LOWEST_RATE = 8000;
const HIGHEST_RATE = 96000;

export class VoiceDecoder {
  #rate = OUTPUT_RATE;
  /** @type {Resampler | null} */
  #filter = null;

  /**
   * One chunk. `stray` counts a byte behind the last whole sample, which is left out.
   * @param {string} data base64
   * @param {string} mimeType `audio/pcm;rate=48000`; without a rate it is 24 kHz
   * @returns {{samples: Int16Array<ArrayBuffer>, stray: number}}
   */
  decode(data, mimeType) {
    const bytes = decodeBase64(data);
    const samples = bytesToInt16(bytes);
    const rate = rateOf(mimeType);
    if (rate !== this.#rate) {
      this.#rate = rate;
      this.#filter = null;
    }
    return { samples: rate === OUTPUT_RATE ? samples : this.#resample(samples), stray: bytes.length & 1 };
  }

  /** The end of a turn: what the filter still holds, and a fresh filter. @returns {Int16Array<ArrayBuffer>} */
  flush() {
    const rest = this.#filter ? this.#resample(new Int16Array(this.#filter.delaySamples)) : new Int16Array(0);
    this.#filter = null;
    return rest;
  }

  /** After a cut: what the filter holds is not to be heard. */
  reset() {
    this.#filter = null;
  }

  /** @param {Int16Array} samples @returns {Int16Array<ArrayBuffer>} */
  #resample(samples) {
    const filter = (this.#filter ??= new Resampler(this.#rate, OUTPUT_RATE));
    const out = new Int16Array(filter.maxOutput(samples.length));
    const block = new Float32Array(filter.maxOutput(BLOCK));
    let filled = 0;
    for (let at = 0; at < samples.length; at += BLOCK) {
      const input = Float32Array.from(samples.subarray(at, at + BLOCK), (x) => x / 32768);
      const count = filter.process(input, block);
      for (let i = 0; i < count; i++) out[filled++] = floatToInt16(block[i]);
    }
    return out.slice(0, filled);
  }
}

/** @param {string} mimeType */
function rateOf(mimeType) {
  const rate = Number(/rate=(\d+)/.exec(mimeType)?.[1]);
  return rate >= LOWEST_RATE && rate <= HIGHEST_RATE ? rate : OUTPUT_RATE;
}
