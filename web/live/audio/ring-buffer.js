/**
 * A growing ring buffer of int16 samples, between the network's pace and the ear's.
 * Leaves it to playback-engine.js when to play.
 *
 * Positions count every sample that was ever written or read. So the part of a turn that was heard is a subtraction.
 */

/** 2^17 samples are 5.5 s at 24 kHz. */
const START_CAPACITY = 1 << 17;
/** 2^22 samples are 175 s, 8 MB. Beyond that something is wrong, and newer audio is dropped. */
const MAX_CAPACITY = 1 << 22;

export class Int16Ring {
  #samples;
  #mask;
  #startCapacity;
  #maxCapacity;
  written = 0;
  read = 0;

  /**
   * Both capacities are powers of two.
   * @param {number} startCapacity
   * @param {number} maxCapacity
   */
  constructor(startCapacity = START_CAPACITY, maxCapacity = MAX_CAPACITY) {
    this.#samples = new Int16Array(startCapacity);
    this.#mask = startCapacity - 1;
    this.#startCapacity = startCapacity;
    this.#maxCapacity = maxCapacity;
  }

  get length() {
    return this.written - this.read;
  }

  get capacity() {
    return this.#samples.length;
  }

  /**
   * Grows if necessary, appends as many samples as fit and returns their number.
   * @param {Int16Array} source
   */
  write(source) {
    while (this.length + source.length > this.capacity && this.capacity < this.#maxCapacity) {
      this.#resize(this.capacity * 2);
    }
    const fit = Math.min(source.length, this.capacity - this.length);
    const at = this.written & this.#mask;
    const first = Math.min(fit, this.capacity - at);
    this.#samples.set(source.subarray(0, first), at);
    this.#samples.set(source.subarray(first, fit), 0);
    this.written += fit;
    return fit;
  }

  /** The next sample, -32768 to 32767. The caller checks `length` first. */
  next() {
    return this.#samples[this.read++ & this.#mask];
  }

  /** Drops unread samples, and frees the memory that a long answer took. */
  clear() {
    this.read = this.written;
    if (this.capacity > this.#startCapacity) this.#resize(this.#startCapacity);
  }

  /** Copies whole stretches: sample by sample it takes longer than the audio thread allows. @param {number} capacity */
  #resize(capacity) {
    const samples = new Int16Array(capacity);
    for (let at = this.read; at < this.written; ) {
      const from = at & this.#mask;
      const to = at & (capacity - 1);
      const count = Math.min(this.written - at, this.capacity - from, capacity - to);
      samples.set(this.#samples.subarray(from, from + count), to);
      at += count;
    }
    this.#samples = samples;
    this.#mask = capacity - 1;
  }
}
