/**
 * Two voices on one time line, as a WAV: the user on the left, the model on the right, 24 kHz, 16 bit.
 *
 * Owns: where each piece of sound belongs, and the file's form. Needs pcm.js, resampler.js. Pure.
 * Each worklet counts its samples exactly, but its clock is read late whenever the machine is busy. Never early,
 * though: the earliest reading among the next ones tells when the count began. Where even that has moved, the count
 * has stood still (a device that stopped, an audio context that rested), and there is a gap.
 */
import { INPUT_RATE, OUTPUT_RATE } from '../shared/pcm.js';
import { Resampler } from '../shared/resampler.js';

/** @typedef {import('../audio/recording-tap.js').Piece} Piece */
/** @typedef {'user' | 'model'} Voice */
/** @typedef {{voice: Voice, pieces: Piece[]}} Stream what one worklet gave */

const RATES = { user: INPUT_RATE, model: OUTPUT_RATE };
/** Some 40 minutes, of which the model talks a third. */
const MAX_BYTES = 128 * 2 ** 20;
const WINDOW_MS = 2000;
/** What clocks may differ by before a gap is seen in it. */
const SLACK_MS = 30;
const HEADER_BYTES = 44;

export class WavRecording {
  #startedAt;
  #bytes = 0;
  /** @type {Stream[]} */
  #streams = [];

  /** @param {number} startedAt epoch milliseconds: the first sample of the file */
  constructor(startedAt) {
    this.#startedAt = startedAt;
  }

  /** @param {Voice} voice @returns {(piece: Piece) => boolean} takes a piece; false: there is no more room */
  stream(voice) {
    /** @type {Stream} */
    const stream = { voice, pieces: [] };
    this.#streams.push(stream);
    return (piece) => {
      const fits = this.#bytes + piece.samples.byteLength <= MAX_BYTES;
      if (fits) {
        this.#bytes += piece.samples.byteLength;
        stream.pieces.push(piece);
      }
      return fits;
    };
  }

  /** @param {number} modelDelayMs between a sample of the model and the ear */
  toWav(modelDelayMs) {
    const [user, model] = [this.#track('user', 0), this.#track('model', modelDelayMs)];
    const seconds = Math.max(user.seconds, model.seconds);
    /** @type {BlobPart[]} */
    const parts = [header(Math.ceil(seconds) * OUTPUT_RATE)];
    const resampler = new Resampler(INPUT_RATE, OUTPUT_RATE);
    const [left, right] = [new Float32Array(INPUT_RATE), new Float32Array(OUTPUT_RATE)];
    for (let second = 0; second < seconds; second++) {
      const both = new Int16Array(2 * OUTPUT_RATE);
      user.fill(left, second * INPUT_RATE);
      model.fill(right, second * OUTPUT_RATE);
      interleave(both, upsample(resampler, left), 0);
      interleave(both, right, 1);
      parts.push(both);
    }
    return new Blob(parts, { type: 'audio/wav' });
  }

  /** @param {Voice} voice @param {number} delayMs */
  #track(voice, delayMs) {
    const rate = RATES[voice];
    const streams = this.#streams.filter((stream) => stream.voice === voice);
    return new Track(rate, streams.flatMap(({ pieces }) => place(pieces, rate, this.#startedAt - delayMs)));
  }
}

/** Sound by its place in the file. */
class Track {
  #placed;
  #at = 0;

  /** @param {number} rate @param {{start: number, samples: Int16Array}[]} placed starts are samples of the file */
  constructor(rate, placed) {
    this.#placed = placed.sort((a, b) => a.start - b.start);
    this.seconds = placed.reduce((most, { start, samples }) => Math.max(most, (start + samples.length) / rate), 0);
  }

  /** The next block, from this sample on. @param {Float32Array} block @param {number} from */
  fill(block, from) {
    block.fill(0);
    const to = from + block.length;
    for (let i = this.#at; i < this.#placed.length && this.#placed[i].start < to; i++) {
      const { start, samples } = this.#placed[i];
      const last = Math.min(start + samples.length, to);
      for (let n = Math.max(start, from); n < last; n++) block[n - from] = samples[n - start] / 32768;
      if (last < to) this.#at = i + 1;
    }
  }
}

/** @param {Piece[]} pieces of one worklet @param {number} rate @param {number} startedAt */
function place(pieces, rate, startedAt) {
  const perMs = rate / 1000;
  const began = pieces.map(({ at, frame, samples }) => at - (frame + samples.length) / perMs);
  let anchor = Infinity;
  return pieces.map(({ at, frame, samples }, i) => {
    let earliest = began[i];
    for (let n = i + 1; n < pieces.length && pieces[n].at - at < WINDOW_MS; n++) earliest = Math.min(earliest, began[n]);
    if (Math.abs(earliest - anchor) > SLACK_MS) anchor = earliest;
    return { start: Math.round((anchor - startedAt) * perMs) + frame, samples };
  });
}

/** One second. @param {Resampler} resampler @param {Float32Array} input */
function upsample(resampler, input) {
  const out = new Float32Array(resampler.maxOutput(input.length));
  let written = 0;
  for (let at = 0; at < input.length; at += 4000) {
    written += resampler.process(input.subarray(at, at + 4000), out.subarray(written));
  }
  return out.subarray(0, written);
}

/** @param {Int16Array} both @param {Float32Array} voice @param {0 | 1} side */
function interleave(both, voice, side) {
  const count = Math.min(voice.length, both.length / 2);
  for (let i = 0; i < count; i++) {
    const scaled = Math.round(voice[i] * 32768);
    both[2 * i + side] = scaled > 32767 ? 32767 : scaled < -32768 ? -32768 : scaled;
  }
}

/** The head of a RIFF file of stereo PCM16. @param {number} frames */
function header(frames) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const text = (/** @type {number} */ at, /** @type {string} */ word) =>
    [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  const bytes = frames * 4;
  text(0, 'RIFF');
  view.setUint32(4, bytes + HEADER_BYTES - 8, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 2, true);
  view.setUint32(24, OUTPUT_RATE, true);
  view.setUint32(28, OUTPUT_RATE * 4, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, bytes, true);
  return view.buffer;
}
