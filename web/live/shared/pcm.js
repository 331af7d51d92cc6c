/**
 * Sample conversions between the Web Audio floats and the wire's 16-bit little-endian PCM.
 *
 * Owns: scaling, clamping, alignment, RMS. Needs nothing. Leaves rates to resampler.js.
 * Typed arrays are little-endian on every platform that runs a browser, so no byte is swapped.
 */

/** Rate and chunk of what goes up: 320 samples are 20 ms, the shortest chunk Google documents. */
export const INPUT_RATE = 16000;
export const CHUNK_SAMPLES = 320;
export const INPUT_MIME = 'audio/pcm;rate=16000';
/** Rate of what comes down. */
export const OUTPUT_RATE = 24000;

/**
 * One sample as int16. Clamped, because a full-scale peak that wraps is a full-scale click.
 * @param {number} value
 */
export function floatToInt16(value) {
  const scaled = Math.round(value * 32768);
  return scaled > 32767 ? 32767 : scaled < -32768 ? -32768 : scaled;
}

/**
 * Bytes of PCM16 as samples, copied to an aligned buffer. An odd trailing byte is left out:
 * losing half a sample is inaudible, throwing would end the conversation.
 * @param {Uint8Array} bytes
 * @returns {Int16Array<ArrayBuffer>}
 */
export function bytesToInt16(bytes) {
  const samples = new Int16Array(bytes.length >> 1);
  new Uint8Array(samples.buffer).set(bytes.subarray(0, samples.length * 2));
  return samples;
}

/** Loudness over some thousand samples, without keeping them. */
export class RmsMeter {
  #sum = 0;
  #count = 0;

  get count() {
    return this.#count;
  }

  /** @param {Float32Array} samples */
  add(samples) {
    let sum = 0;
    for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
    this.#sum += sum;
    this.#count += samples.length;
  }

  /** The RMS (0..1) since the last call; starts again. */
  take() {
    const rms = this.#count === 0 ? 0 : Math.sqrt(this.#sum / this.#count);
    this.#sum = 0;
    this.#count = 0;
    return rms;
  }
}
