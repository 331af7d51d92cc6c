/**
 * What to play next: jitter buffer, ramps and the cut of a barge-in, as pure maths over a ring of samples.
 *
 * Owns: every decision between "samples arrived" and "samples are heard". Needs ring-buffer.js.
 * Leaves ports, clocks and posting to worklets/playback-processor.js, so that a test can run it without a browser.
 *
 * A turn that is not cut and does not starve leaves here exactly as it came. Ramps are only where sound would
 * break off: before an underrun, after it, and on a cut. None at a natural start, where one would eat plosives.
 */
import { Int16Ring } from './ring-buffer.js';

/** 5 ms at 24 kHz: a full-scale step becomes steps of 1/120. */
const RAMP_FRAMES = 120;
const FRAMES_PER_MS = 24;
/** The queue that starts playback; it grows with each underrun and shrinks with each clean stretch. */
const THRESHOLD_MS = { floor: 60, cap: 200, penalty: 40, reward: 10 };
/**
 * What has to wait besides the newest chunk after an underrun: sound that is up to 120 ms late does not break off
 * again, nor fade 5 ms before, on a device that takes 10 ms at a time. The pause is heard already; a second one
 * would be worse than a longer one.
 */
const REFILL_FRAMES = 140 * FRAMES_PER_MS;

/**
 * `newest` is the length of the last chunk.
 * @typedef {{turn: number, end: number, finished: boolean, receivedAt: number, started: boolean, clean: boolean,
 *   newest: number}} Segment */
/**
 * @typedef {{type: 'started', turn: number, receivedAt: number}
 *   | {type: 'drained', turn: number}
 *   | {type: 'underrun', turn: number}
 *   | {type: 'silent', turn: number, receivedAt: number, played: number}
 *   | {type: 'dropped', samples: number}} PlaybackEvent
 */

export class PlaybackEngine {
  #ring = new Int16Ring();
  /** Stretches of one turn each, oldest first; `end` is a position in the ring. @type {Segment[]} */
  #segments = [];
  #playing = false;
  #gain = 1;
  /** The sound is going out: see #ramped. */
  #fading = false;
  #waited = 0;
  #thresholdMs = THRESHOLD_MS.floor;
  /** The last 5 ms of what was cut, already faded; mixed into whatever comes next. */
  #tail = new Float32Array(RAMP_FRAMES);
  #tailLength = 0;
  #tailRead = 0;
  /** @type {{turn: number, receivedAt: number, played: number} | null} */
  #cut = null;
  #cutTurn = 0;
  #emit;
  /** The turn being heard and how many of its samples were. */
  turn = 0;
  played = 0;

  /** @param {(event: PlaybackEvent) => void} emit */
  constructor(emit) {
    this.#emit = emit;
  }

  /**
   * @param {Int16Array} samples
   * @param {number} turn
   * @param {number} receivedAt when the network had them; comes back in `started`
   */
  push(samples, turn, receivedAt) {
    if (turn <= this.#cutTurn) return; // nobody wants to hear the rest of it
    const written = this.#ring.write(samples);
    if (written < samples.length) this.#emit({ type: 'dropped', samples: samples.length - written });
    let last = this.#segments.at(-1);
    if (!last || last.finished || last.turn !== turn) {
      if (last) last.finished = true;
      last = { turn, end: 0, finished: false, receivedAt, started: false, clean: true, newest: 0 };
      this.#segments.push(last);
    }
    last.end = this.#ring.written;
    last.newest = samples.length;
  }

  /** No more samples of this turn will come. @param {number} turn */
  finish(turn) {
    for (const segment of this.#segments) if (segment.turn <= turn) segment.finished = true;
  }

  /**
   * Barge-in: fade within 5 ms, forget the rest, be ready for new sound at once.
   * @param {number} turn
   * @param {number} receivedAt
   */
  cut(turn, receivedAt) {
    if (this.#playing) {
      const length = Math.min(RAMP_FRAMES, this.#available());
      // The tail of a cut just before may still be fading.
      const fading = this.#tailLength - this.#tailRead;
      this.#tail.copyWithin(0, this.#tailRead, this.#tailLength);
      this.#tail.fill(0, fading);
      for (let i = 0; i < length; i++) {
        this.#tail[i] += (this.#ring.next() / 32768) * Math.max(0, this.#gain - (i + 1) / RAMP_FRAMES);
      }
      this.#tailLength = Math.max(length, fading);
      this.#tailRead = 0;
      this.played += length;
    }
    this.#ring.clear();
    this.#segments = [];
    this.#playing = this.#fading = false;
    this.#waited = 0;
    this.#gain = 1;
    this.#cutTurn = turn;
    this.#cut = { turn, receivedAt, played: this.turn === turn ? this.played : 0 };
  }

  /** Fills one block. @param {Float32Array} out */
  render(out) {
    out.fill(0);
    for (let at = 0; at < out.length; ) {
      if (!this.#playing && !this.#tryStart(out.length - at)) break;
      at = this.#play(out, at);
    }
    this.#mixTail(out);
  }

  #available() {
    return this.#segments.length === 0 ? 0 : this.#segments[0].end - this.#ring.read;
  }

  /**
   * Enough queued, the turn complete, or waited long enough?
   * @param {number} frames that pass if not
   * @returns {boolean}
   */
  #tryStart(frames) {
    const segment = this.#segments[0];
    if (!segment) return false;
    if (segment.finished && this.#available() === 0) {
      this.#drain(segment);
      return this.#tryStart(frames);
    }
    const threshold = this.#thresholdMs * FRAMES_PER_MS;
    const enough = segment.started ? Math.max(threshold, REFILL_FRAMES + segment.newest) : threshold;
    if (this.#available() < enough && !segment.finished && this.#waited < 2 * threshold) {
      if (this.#available() > 0) this.#waited += frames;
      return false;
    }
    // What would be nothing but a ramp waits for more, or for the end.
    if (this.#available() <= (segment.started && !segment.finished ? RAMP_FRAMES : 0)) return false;
    this.#begin(segment);
    return true;
  }

  /** @param {Segment} segment */
  #begin(segment) {
    this.#playing = true;
    this.#waited = 0;
    if (segment.started) return;
    segment.started = true;
    this.#gain = 1;
    if (this.turn !== segment.turn) this.played = 0;
    this.turn = segment.turn;
    this.#emit({ type: 'started', turn: segment.turn, receivedAt: segment.receivedAt });
  }

  /**
   * Plays as much of the current segment as fits. @param {Float32Array} out @param {number} at
   */
  #play(out, at) {
    const segment = this.#segments[0];
    const end = at + Math.min(out.length - at, this.#available());
    const from = at;
    const whole = segment.finished || this.#available() - (end - at) >= RAMP_FRAMES;
    if (whole && this.#gain === 1) {
      while (at < end) out[at++] = this.#ring.next() / 32768;
    } else {
      while (at < end && !this.#gone) out[at++] = this.#ramped(segment);
    }
    this.played += at - from;
    if (this.#available() === 0 || this.#gone) this.#runDry(segment);
    return at;
  }

  get #gone() {
    return this.#fading && this.#gain === 0;
  }

  /**
   * One sample under the gain that falls before an end that nobody announced. Once it falls it goes to 0 and the queue
   * fills up again, even if sound comes in time: with so little waiting the next chunk would be late again, and a dip
   * before each is worse than one pause.
   * @param {Segment} segment
   */
  #ramped(segment) {
    this.#fading = !segment.finished && (this.#fading || this.#available() <= RAMP_FRAMES);
    const gain = this.#gain + (this.#fading ? -1 : 1) / RAMP_FRAMES;
    this.#gain = gain < 0 ? 0 : gain > 1 ? 1 : gain;
    return (this.#ring.next() / 32768) * this.#gain;
  }

  /** @param {Segment} segment */
  #runDry(segment) {
    this.#playing = this.#fading = false;
    if (segment.finished) {
      this.#drain(segment);
      return;
    }
    segment.clean = false;
    this.#thresholdMs = Math.min(THRESHOLD_MS.cap, this.#thresholdMs + THRESHOLD_MS.penalty);
    this.#emit({ type: 'underrun', turn: segment.turn });
  }

  /** @param {Segment} segment */
  #drain(segment) {
    this.#segments.shift();
    if (this.#segments.length === 0) this.#ring.clear();
    this.#waited = 0;
    if (segment.clean) this.#thresholdMs = Math.max(THRESHOLD_MS.floor, this.#thresholdMs - THRESHOLD_MS.reward);
    this.#emit({ type: 'drained', turn: segment.turn });
  }

  /** @param {Float32Array} out */
  #mixTail(out) {
    const count = Math.min(out.length, this.#tailLength - this.#tailRead);
    for (let i = 0; i < count; i++) out[i] += this.#tail[this.#tailRead + i];
    this.#tailRead += count;
    if (this.#cut && this.#tailRead === this.#tailLength) {
      this.#emit({ type: 'silent', ...this.#cut });
      this.#cut = null;
    }
  }
}
