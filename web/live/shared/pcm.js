/**
 * Rates and sample conversions: Web Audio floats to and from the wire's 16-bit little-endian PCM.
 * Leaves the change of rates to resampler.js.
 *
 * Typed arrays are little-endian on every platform that runs a browser, so no byte is swapped.
 */

/** The rate of the audio that the client sends. */
export const INPUT_RATE = 16000;
export const INPUT_MIME = 'audio/pcm;rate=16000';
/** The length of a chunk that the client sends. 20 ms is the shortest that Google documents. */
export const CHUNK_MS = 20;
export const CHUNK_SAMPLES = (INPUT_RATE / 1000) * CHUNK_MS;
/** The rate of the audio that the service sends. */
export const OUTPUT_RATE = 24000;
/** How often each worklet reports its level. */
export const METER_HZ = 20;
/** The level (RMS, 0 to 1) above which somebody is probably speaking. */
export const LOUD_RMS = 0.02;

/**
 * One sample as int16. The value is clamped: a full-scale peak that wraps around is a full-scale click.
 * @param {number} value
 */
export function floatToInt16(value) {
  return Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
}

/**
 * Bytes of PCM16 as samples, copied to an aligned buffer. An odd last byte is left out: half a sample is inaudible,
 * while an exception would end the conversation.
 * @param {Uint8Array} bytes
 * @returns {Int16Array<ArrayBuffer>}
 */
export function bytesToInt16(bytes) {
  const samples = new Int16Array(bytes.length >> 1);
  new Uint8Array(samples.buffer).set(bytes.subarray(0, samples.length * 2));
  return samples;
}

/** Measures the level of a few thousand samples without storing them. Floats give 0 to 1, int16 gives 0 to 32768. */
export class RmsMeter {
  #sum = 0;
  #count = 0;

  get count() {
    return this.#count;
  }

  /** @param {Float32Array | Int16Array} samples */
  add(samples) {
    let sum = 0;
    for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
    this.#sum += sum;
    this.#count += samples.length;
  }

  /** Returns the RMS since the previous call and starts again. */
  take() {
    const rms = this.#count === 0 ? 0 : Math.sqrt(this.#sum / this.#count);
    this.#sum = 0;
    this.#count = 0;
    return rms;
  }
}
