/**
 * Changes the sample rate: a polyphase windowed-sinc filter that keeps its state between blocks.
 * Leaves int16 and chunks to others. It needs no browser, so it runs in a worklet and in a test.
 *
 * Any ratio of whole rates works: 48000 to 16000 is one phase of 204 taps, 44100 to 16000 is 160 phases.
 * Measured (tests/browser/test_capture_filter.py): flat within 0.5 dB up to 7 kHz, more than 80 dB down from 8 kHz on,
 * 2.1 ms of delay. The browser's own resampler leaves the 9 kHz image only 54 dB down and fails in Firefox.
 */

/** Zero crossings on each side of the sinc, counted at the lower of the two rates. */
const CROSSINGS = 34;
/**
 * Cut-off as a fraction of the lower rate: 7.35 kHz at 16 kHz. With this window the slope lies between 7 and 8 kHz, so
 * the part that aliases is inaudible and everything below 7 kHz passes.
 */
const CUTOFF = 0.4595;
const KAISER_BETA = 8.2;
const BLOCK_SAMPLES = 4096;

export class Resampler {
  #up;
  #down;
  #taps;
  /** One row of taps per phase. */
  #rows;
  /** The newest input samples. They are appended until it is full, then moved to the front. */
  #delayLine;
  #filled;
  /** Where the filter starts in the delay line for the next output sample, and its phase. */
  #index = 0;
  #phase = 0;

  /**
   * @param {number} inputRate
   * @param {number} outputRate
   */
  constructor(inputRate, outputRate) {
    const divisor = gcd(inputRate, outputRate);
    this.#up = outputRate / divisor;
    this.#down = inputRate / divisor;
    this.identity = inputRate === outputRate;
    const lower = Math.min(inputRate, outputRate);
    this.#taps = 2 * Math.ceil((CROSSINGS * inputRate) / lower);
    this.#rows = this.identity ? [] : design(this.#up, this.#taps, (CUTOFF * lower) / inputRate);
    this.#delayLine = new Float32Array(BLOCK_SAMPLES + this.#taps);
    // Starts with silence, so that the first output sample is centred on the first input sample.
    this.#filled = this.#taps / 2;
  }

  /** The delay: input samples that have not appeared in the output yet. */
  get delaySamples() {
    return this.#taps / 2;
  }

  /** The highest number of output samples for one block of input. @param {number} inputLength */
  maxOutput(inputLength) {
    return Math.ceil((inputLength * this.#up) / this.#down) + 1;
  }

  /**
   * Filters a block of at most 4096 samples into `output` and returns the number of samples written.
   * @param {Float32Array} input
   * @param {Float32Array} output
   */
  process(input, output) {
    if (this.identity) {
      output.set(input);
      return input.length;
    }
    if (this.#filled + input.length > this.#delayLine.length) this.#shift();
    this.#delayLine.set(input, this.#filled);
    this.#filled += input.length;
    let count = 0;
    while (this.#index + this.#taps <= this.#filled) {
      output[count++] = this.#dot(this.#rows[this.#phase]);
      this.#phase += this.#down;
      this.#index += Math.floor(this.#phase / this.#up);
      this.#phase %= this.#up;
    }
    return count;
  }

  /** @param {Float64Array} row */
  #dot(row) {
    const delayLine = this.#delayLine;
    const start = this.#index;
    let sum = 0;
    for (let k = 0; k < row.length; k++) sum += delayLine[start + k] * row[k];
    return sum;
  }

  #shift() {
    const from = Math.min(this.#index, this.#filled);
    this.#delayLine.copyWithin(0, from, this.#filled);
    this.#filled -= from;
    this.#index -= from;
  }
}

/**
 * The taps of each phase. Every row has a gain of exactly one at 0 Hz.
 * @param {number} phases
 * @param {number} taps
 * @param {number} cutoff as a fraction of the input rate
 */
function design(phases, taps, cutoff) {
  const half = taps / 2;
  const rows = [];
  for (let phase = 0; phase < phases; phase++) {
    const row = new Float64Array(taps);
    let gain = 0;
    for (let k = 0; k < taps; k++) {
      // The distance between this tap and the output sample, in input samples.
      const t = k - half - phase / phases;
      row[k] = 2 * cutoff * sinc(2 * cutoff * t) * kaiser(t / half);
      gain += row[k];
    }
    for (let k = 0; k < taps; k++) row[k] /= gain;
    rows.push(row);
  }
  return rows;
}

/** @param {number} x */
function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** @param {number} x position in the window, -1..1 */
function kaiser(x) {
  return Math.abs(x) > 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel(KAISER_BETA);
}

/** The modified Bessel function of order zero, by its power series. @param {number} x */
function bessel(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
