/**
 * From the device's rate to the wire's: a polyphase windowed-sinc filter that keeps its state between blocks.
 *
 * Owns: the filter. Needs nothing, so that it runs in a worklet and in a test. Leaves int16 and chunks to others.
 * Any ratio of whole rates works: 48000 to 16000 is one phase of 204 taps, 44100 to 16000 is 160 phases.
 * Measured (tests/browser/test_capture_filter.py): within 0.5 dB up to 7 kHz, all from 8 kHz on more than 80 dB down,
 * with 2.1 ms of delay. Letting the browser resample leaves the 9 kHz image 54 dB down and fails in Firefox.
 */

/** Zero crossings on each side, counted at the lower of both rates. */
const CROSSINGS = 34;
/**
 * Cut-off as a part of the lower rate: 7.35 kHz of 16 kHz. With this window the fall fits between 7 and 8 kHz, so that what
 * it lets fold back is too faint to be heard, and nothing below is.
 */
const CUTOFF = 0.4595;
const KAISER_BETA = 8.2;
const LINE = 4096;

export class Resampler {
  #up;
  #down;
  #taps;
  /** One row of taps per phase. */
  #rows;
  /** The newest input samples, appended until full and then moved to the front. */
  #line;
  #filled;
  /** Index in the line of the first sample under the filter for the next output, and its phase. */
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
    this.#line = new Float32Array(LINE + this.#taps);
    // Silence before the first sample: the first output is then centred on the first input.
    this.#filled = this.#taps / 2;
  }

  /** Input samples that the filter has taken and not yet given back. */
  get delaySamples() {
    return this.#taps / 2;
  }

  /** The most output samples that one block of input can give. @param {number} inputLength */
  maxOutput(inputLength) {
    return Math.ceil((inputLength * this.#up) / this.#down) + 1;
  }

  /**
   * Filters a block of at most 4096 samples into `output` and returns how many samples it wrote there.
   * @param {Float32Array} input
   * @param {Float32Array} output
   */
  process(input, output) {
    if (this.identity) {
      output.set(input);
      return input.length;
    }
    if (this.#filled + input.length > this.#line.length) this.#shift();
    this.#line.set(input, this.#filled);
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
    const line = this.#line;
    const start = this.#index;
    let sum = 0;
    for (let k = 0; k < row.length; k++) sum += line[start + k] * row[k];
    return sum;
  }

  #shift() {
    const from = Math.min(this.#index, this.#filled);
    this.#line.copyWithin(0, from, this.#filled);
    this.#filled -= from;
    this.#index -= from;
  }
}

/**
 * The taps for each phase, every row with a gain of exactly one at 0 Hz.
 * @param {number} phases
 * @param {number} taps
 * @param {number} cutoff as a part of the input rate
 */
function design(phases, taps, cutoff) {
  const half = taps / 2;
  const rows = [];
  for (let phase = 0; phase < phases; phase++) {
    const row = new Float64Array(taps);
    let gain = 0;
    for (let k = 0; k < taps; k++) {
      // Distance in input samples between this tap and the moment of the output sample.
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
