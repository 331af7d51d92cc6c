/**
 * Two voices on one time line, as a WAV: the user on the left, the model on the right, 24 kHz, 16 bit. Pure.
 *
 * Each worklet counts its samples exactly, but reads its clock late when the machine is busy. It never reads it early,
 * so the earliest reading among the following chunks shows when the count began. If even that reading moves, the count
 * stood still (a device stopped, or an audio context was suspended), and there is a gap.
 */
import { floatToInt16, INPUT_RATE, OUTPUT_RATE } from '../shared/pcm.js';
import { Resampler } from '../shared/resampler.js';

/** @typedef {import('../shared/audio-messages.js').RecordedChunk} RecordedChunk */
/** @typedef {import('../shared/audio-messages.js').Voice} Voice */
/** @typedef {{voice: Voice, chunks: RecordedChunk[]}} Stream the audio of one worklet */

const RATES = { user: INPUT_RATE, model: OUTPUT_RATE };
/** About 40 minutes, if the model speaks for a third of them. */
const MAX_BYTES = 128 * 2 ** 20;
const CLOCK_WINDOW_MS = 2000;
/** Clocks may differ by this much before the difference counts as a gap. */
const CLOCK_TOLERANCE_MS = 30;
const HEADER_BYTES = 44;

export class WavRecording {
  #startedAt;
  #bytes = 0;
  /** @type {Stream[]} */
  #streams = [];

  /** @param {number} startedAt epoch milliseconds of the first sample in the file */
  constructor(startedAt) {
    this.#startedAt = startedAt;
  }

  /** @param {Voice} voice @returns {(chunk: RecordedChunk) => boolean} adds a chunk; false: the memory limit is reached */
  stream(voice) {
    /** @type {Stream} */
    const stream = { voice, chunks: [] };
    this.#streams.push(stream);
    return (chunk) => {
      const fits = this.#bytes + chunk.samples.byteLength <= MAX_BYTES;
      if (fits) {
        this.#bytes += chunk.samples.byteLength;
        stream.chunks.push(chunk);
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
      const stereo = new Int16Array(2 * OUTPUT_RATE);
      user.read(left, second * INPUT_RATE);
      model.read(right, second * OUTPUT_RATE);
      interleave(stereo, upsample(resampler, left), 0);
      interleave(stereo, right, 1);
      parts.push(stereo);
    }
    return new Blob(parts, { type: 'audio/wav' });
  }

  /** @param {Voice} voice @param {number} delayMs */
  #track(voice, delayMs) {
    const rate = RATES[voice];
    const streams = this.#streams.filter((stream) => stream.voice === voice);
    return new Track(
      rate,
      streams.flatMap(({ chunks }) => place(chunks, rate, this.#startedAt - delayMs)),
    );
  }
}

/** One voice, by its position in the file. */
class Track {
  #placed;
  #next = 0;

  /** @param {number} rate @param {{start: number, samples: Int16Array}[]} placed `start` is a sample number in the file */
  constructor(rate, placed) {
    this.#placed = placed.sort((a, b) => a.start - b.start);
    this.seconds = placed.reduce((most, { start, samples }) => Math.max(most, (start + samples.length) / rate), 0);
  }

  /** Reads the next block, from this sample on. @param {Float32Array} block @param {number} from */
  read(block, from) {
    block.fill(0);
    const to = from + block.length;
    for (let i = this.#next; i < this.#placed.length && this.#placed[i].start < to; i++) {
      const { start, samples } = this.#placed[i];
      const end = Math.min(start + samples.length, to);
      for (let n = Math.max(start, from); n < end; n++) block[n - from] = samples[n - start] / 32768;
      if (end < to) this.#next = i + 1;
    }
  }
}

/** @param {RecordedChunk[]} chunks of one worklet @param {number} rate @param {number} startedAt */
function place(chunks, rate, startedAt) {
  const samplesPerMs = rate / 1000;
  const began = chunks.map(({ at, frame, samples }) => at - (frame + samples.length) / samplesPerMs);
  let countBegan = Infinity;
  return chunks.map(({ at, frame, samples }, i) => {
    let earliest = began[i];
    for (let n = i + 1; n < chunks.length && chunks[n].at - at < CLOCK_WINDOW_MS; n++) {
      earliest = Math.min(earliest, began[n]);
    }
    if (Math.abs(earliest - countBegan) > CLOCK_TOLERANCE_MS) countBegan = earliest;
    return { start: Math.round((countBegan - startedAt) * samplesPerMs) + frame, samples };
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

/** @param {Int16Array} stereo @param {Float32Array} voice @param {0 | 1} side */
function interleave(stereo, voice, side) {
  const count = Math.min(voice.length, stereo.length / 2);
  for (let i = 0; i < count; i++) stereo[2 * i + side] = floatToInt16(voice[i]);
}

/** The header of a RIFF file of stereo PCM16. @param {number} frames */
function header(frames) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  const writeText = (/** @type {number} */ at, /** @type {string} */ word) => {
    for (let i = 0; i < word.length; i++) view.setUint8(at + i, word.charCodeAt(i));
  };
  const bytes = frames * 4;
  writeText(0, 'RIFF');
  view.setUint32(4, bytes + HEADER_BYTES - 8, true);
  writeText(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 2, true);
  view.setUint32(24, OUTPUT_RATE, true);
  view.setUint32(28, OUTPUT_RATE * 4, true);
  view.setUint16(32, 4, true);
  view.setUint16(34, 16, true);
  writeText(36, 'data');
  view.setUint32(40, bytes, true);
  return view.buffer;
}
