/**
 * Decodes the service's audio into samples at the playback rate, whatever rate its MIME type declares.
 * Leaves turns to turn-playback.js. At 24 kHz every sample passes unchanged.
 */
import { decodeBase64 } from '../shared/base64.js';
import { bytesToInt16, floatToInt16, OUTPUT_RATE } from '../shared/pcm.js';
import { Resampler } from '../shared/resampler.js';

const BLOCK_SAMPLES = 2048;
const LOWEST_RATE = 8000;
const HIGHEST_RATE = 96000;

export class VoiceDecoder {
  #rate = OUTPUT_RATE;
  /** Kept from chunk to chunk: chunks that are filtered alone click at each seam. @type {Resampler | null} */
  #resampler = null;

  /**
   * Decodes one chunk. `stray` counts the byte after the last whole sample, which is left out.
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
      this.#resampler = null;
    }
    return { samples: rate === OUTPUT_RATE ? samples : this.#resample(samples), stray: bytes.length & 1 };
  }

  /** The end of a turn: returns the rest of the filter and starts a new filter. @returns {Int16Array<ArrayBuffer>} */
  flush() {
    const resampler = this.#resampler;
    const rest = resampler ? this.#resample(new Int16Array(resampler.delaySamples)) : new Int16Array(0);
    this.#resampler = null;
    return rest;
  }

  /** After an interruption: the rest of the filter must not be heard. */
  reset() {
    this.#resampler = null;
  }

  /** @param {Int16Array} samples @returns {Int16Array<ArrayBuffer>} */
  #resample(samples) {
    this.#resampler ??= new Resampler(this.#rate, OUTPUT_RATE);
    const resampler = this.#resampler;
    const out = new Int16Array(resampler.maxOutput(samples.length));
    const block = new Float32Array(resampler.maxOutput(BLOCK_SAMPLES));
    let filled = 0;
    for (let at = 0; at < samples.length; at += BLOCK_SAMPLES) {
      const input = Float32Array.from(samples.subarray(at, at + BLOCK_SAMPLES), (x) => x / 32768);
      const count = resampler.process(input, block);
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
