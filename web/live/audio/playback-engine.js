/**
 * Decides what plays next: jitter buffer, fades, and the cut of an interruption, as pure maths on a ring buffer.
 * Leaves ports, clocks and messages to worklets/playback-processor.js, so that a test runs it without a browser.
 *
 * A turn that is neither cut nor starved leaves here exactly as it came. There are fades only where audio would break
 * off: before an underrun, after it, and on a cut. A natural start has none, because a fade would swallow plosives.
 */
import { Int16Ring } from './ring-buffer.js';

/** 5 ms at 24 kHz: a full-scale step becomes steps of 1/120. */
const FADE_FRAMES = 120;
const FRAMES_PER_MS = 24;
/** How much audio must wait before playback starts. It grows with each underrun and shrinks with each clean segment. */
const THRESHOLD_MS = { floor: 60, cap: 200, penalty: 40, reward: 10 };
/**
 * After an underrun, audio starts again when it plays so late that chunks which are late by the first of these that no
 * chunk of this turn has exceeded cause no second gap: a second gap is worse than a longer one.
 */
const LATE_FRAMES = [120 * FRAMES_PER_MS, 200 * FRAMES_PER_MS];
/** A device takes up to 10 ms at a time, which is how exactly lateness is known. */
const DEVICE_FRAMES = 10 * FRAMES_PER_MS;
/** What waits for playback is enough if it is this long, however late some of it came. */
const PLENTY_FRAMES = 240 * FRAMES_PER_MS;

/** A turn whose end the service does not mark ends after this time without audio. */
const FORGOTTEN_FRAMES = 8000 * FRAMES_PER_MS;

/**
 * A stretch of one turn. `end` is a position in the ring, `length` counts the samples that came. `head` is the least
 * time, in frames of playback, at which a sample came, less its place in the segment; `late` is how much later, at
 * most, another one came.
 * @typedef {{turn: number, end: number, finished: boolean, receivedAt: number, started: boolean, clean: boolean,
 *   length: number, head: number, late: number}} Segment
 */

export class PlaybackEngine {
  #ring = new Int16Ring();
  /** Oldest first. @type {Segment[]} */
  #segments = [];
  #playing = false;
  #gain = 1;
  /** The audio is fading out: see #nextFaded. */
  #fading = false;
  #waitedFrames = 0;
  /** The frames that were rendered. */
  #clock = 0;
  #dryFrames = 0;
  #thresholdMs = THRESHOLD_MS.floor;
  /** The last 5 ms of audio that was cut, faded already and mixed into the audio that follows. */
  #tail = new Float32Array(FADE_FRAMES);
  #tailLength = 0;
  #tailRead = 0;
  /** @type {{turn: number, receivedAt: number, played: number} | null} */
  #cut = null;
  #cutTurn = 0;
  #emit;
  /** The turn that is heard, and how many of its samples were played. */
  turn = 0;
  played = 0;

  /** @param {(event: import('../shared/audio-messages.js').PlaybackEvent) => void} emit */
  constructor(emit) {
    this.#emit = emit;
  }

  /**
   * @param {Int16Array} samples
   * @param {number} turn
   * @param {number} receivedAt when the network received them; returned in `started`
   */
  push(samples, turn, receivedAt) {
    if (turn <= this.#cutTurn) return; // the rest of an interrupted turn
    const written = this.#ring.write(samples);
    if (written < samples.length) this.#emit({ type: 'dropped', samples: samples.length - written });
    let last = this.#segments.at(-1);
    if (!last || last.finished || last.turn !== turn) {
      if (last) last.finished = true;
      last = {
        turn,
        end: 0,
        finished: false,
        receivedAt,
        started: false,
        clean: true,
        length: 0,
        head: Infinity,
        late: 0,
      };
      this.#segments.push(last);
    }
    last.end = this.#ring.written;
    const came = this.#clock - last.length;
    last.head = Math.min(last.head, came);
    last.late = Math.max(last.late, came - last.head);
    last.length += samples.length;
  }

  /** No more samples of this turn will come. @param {number} turn */
  finish(turn) {
    for (const segment of this.#segments) if (segment.turn <= turn) segment.finished = true;
  }

  /**
   * An interruption: fades out within 5 ms, drops the rest and is ready for new audio at once.
   * @param {number} turn
   * @param {number} receivedAt
   */
  cut(turn, receivedAt) {
    if (turn <= this.#cutTurn) return; // the service answers that it has stopped, too
    if (this.#playing) this.#keepTail();
    this.#ring.clear();
    this.#segments = [];
    this.#playing = this.#fading = false;
    this.#waitedFrames = 0;
    this.#gain = 1;
    this.#cutTurn = turn;
    this.#cut = { turn, receivedAt, played: this.turn === turn ? this.played : 0 };
  }

  #keepTail() {
    const length = Math.min(FADE_FRAMES, this.#available());
    // The tail of an earlier cut may still be fading.
    const earlier = this.#tailLength - this.#tailRead;
    this.#tail.copyWithin(0, this.#tailRead, this.#tailLength);
    this.#tail.fill(0, earlier);
    for (let i = 0; i < length; i++) {
      this.#tail[i] += (this.#ring.next() / 32768) * Math.max(0, this.#gain - (i + 1) / FADE_FRAMES);
    }
    this.#tailLength = Math.max(length, earlier);
    this.#tailRead = 0;
    this.played += length;
  }

  /** Fills one block. @param {Float32Array} out */
  render(out) {
    out.fill(0);
    for (let at = 0; at < out.length; ) {
      if (!this.#playing && !this.#tryStart(out.length - at)) break;
      at = this.#play(out, at);
    }
    this.#mixTail(out);
    this.#clock += out.length;
  }

  #available() {
    return this.#segments.length === 0 ? 0 : this.#segments[0].end - this.#ring.read;
  }

  /**
   * Starts when enough audio waits, when the turn is complete, or after a long wait.
   * @param {number} frames that pass without a start
   * @returns {boolean}
   */
  #tryStart(frames) {
    const segment = this.#segments[0];
    if (!segment) return false;
    this.#dryFrames = segment.started && this.#available() <= FADE_FRAMES ? this.#dryFrames + frames : 0;
    if (this.#dryFrames > FORGOTTEN_FRAMES) segment.finished = true;
    if (segment.finished && this.#available() === 0) {
      this.#drain(segment);
      return this.#tryStart(frames);
    }
    const threshold = this.#thresholdMs * FRAMES_PER_MS;
    const enough = segment.started ? this.#isRefilled(segment) : this.#available() >= threshold;
    if (!enough && !segment.finished && this.#waitedFrames < 2 * threshold) {
      if (this.#available() > 0) this.#waitedFrames += frames;
      return false;
    }
    // Audio that is shorter than a fade waits for more, or for the end.
    if (this.#available() <= (segment.started && !segment.finished ? FADE_FRAMES : 0)) return false;
    this.#begin(segment);
    return true;
  }

  /** Whether the next chunk, however late, would cause no gap: see LATE_FRAMES. @param {Segment} segment */
  #isRefilled(segment) {
    const waiting = this.#available();
    const late = LATE_FRAMES.find((most) => segment.late <= most + DEVICE_FRAMES) ?? segment.late;
    const delay = this.#clock - (segment.length - waiting) - segment.head;
    return delay >= late + DEVICE_FRAMES || waiting >= PLENTY_FRAMES;
  }

  /** @param {Segment} segment */
  #begin(segment) {
    this.#playing = true;
    this.#waitedFrames = 0;
    if (segment.started) return;
    segment.started = true;
    this.#gain = 1;
    if (this.turn !== segment.turn) this.played = 0;
    this.turn = segment.turn;
    this.#emit({ type: 'started', turn: segment.turn, receivedAt: segment.receivedAt });
  }

  /** Plays as much of the current segment as fits. Returns where it ended. @param {Float32Array} out @param {number} at */
  #play(out, at) {
    const segment = this.#segments[0];
    const from = at;
    const end = at + Math.min(out.length - at, this.#available());
    const whole = segment.finished || this.#available() - (end - at) >= FADE_FRAMES;
    if (whole && this.#gain === 1) {
      while (at < end) out[at++] = this.#ring.next() / 32768;
    } else {
      while (at < end && !this.#fadedOut) out[at++] = this.#nextFaded(segment);
    }
    this.played += at - from;
    if (this.#available() === 0 || this.#fadedOut) this.#runDry(segment);
    return at;
  }

  get #fadedOut() {
    return this.#fading && this.#gain === 0;
  }

  /**
   * The next sample, with a gain that falls before an unannounced end. A gain that starts to fall goes to 0 and the
   * queue refills, even if audio comes in time: with so little waiting the next chunk would be late again, and a dip
   * before each chunk is worse than one gap.
   * @param {Segment} segment
   */
  #nextFaded(segment) {
    this.#fading = !segment.finished && (this.#fading || this.#available() <= FADE_FRAMES);
    const gain = this.#gain + (this.#fading ? -1 : 1) / FADE_FRAMES;
    this.#gain = Math.max(0, Math.min(1, gain));
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
    this.#waitedFrames = 0;
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
