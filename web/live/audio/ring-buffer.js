/**
 * A growing ring of int16 samples: the queue between the network's pace and the ear's.
 *
 * Owns: memory and the two positions. Needs nothing. Leaves when to play to playback-engine.js.
 * Positions count every sample ever written or read, so "how much of this turn was heard" is a subtraction.
 */

/** 2^17 samples are 5.5 s at 24 kHz. */
const START_CAPACITY = 1 << 17;
/** 2^22 samples are 175 s, 8 MB: past that something is wrong, and newer sound is dropped. */
const MAX_CAPACITY = 1 << 22;

export class Int16Ring {
  #samples;
  #mask;
  #start;
  #max;
  written = 0;
  read = 0;

  /**
   * Capacities are powers of two.
   * @param {number} capacity
   * @param {number} max
   */
  constructor(capacity = START_CAPACITY, max = MAX_CAPACITY) {
    this.#samples = new Int16Array(capacity);
    this.#mask = capacity - 1;
    this.#start = capacity;
    this.#max = max;
  }

  get length() {
    return this.written - this.read;
  }

  get capacity() {
    return this.#samples.length;
  }

  /**
   * Appends as many samples as fit after growing, and says how many that were.
   * @param {Int16Array} source
   */
  write(source) {
    while (this.length + source.length > this.capacity && this.capacity < this.#max) this.#resize(this.capacity * 2);
    const fit = Math.min(source.length, this.capacity - this.length);
    const at = this.written & this.#mask;
    const first = Math.min(fit, this.capacity - at);
    this.#samples.set(source.subarray(0, first), at);
    this.#samples.set(source.subarray(first, fit), 0);
    this.written += fit;
    return fit;
  }

  /** The next sample, -32768..32767. The caller has looked at `length` first. */
  next() {
    return this.#samples[this.read++ & this.#mask];
  }

  /** Forgets what was not read, and the memory that a long answer took. */
  clear() {
    this.read = this.written;
    if (this.capacity > this.#start) this.#resize(this.#start);
  }

  /** Copies stretch by stretch: sample by sample it would take longer than the sound thread has. @param {number} capacity */
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
