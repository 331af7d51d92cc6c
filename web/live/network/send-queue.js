/**
 * The microphone's way out: one bounded queue that waits for `setupComplete` first, for the network later, and for the
 * next connection when one has ended.
 *
 * Owns: pre-roll and back-pressure, which are the same thing, a closed gate before a queue. Needs clock.js.
 * People speak before the line is up, so what they said is kept and sent in order; what is too old is dropped, for
 * a queue without limit would make the rest of the conversation late.
 */
import { epochNow } from '../shared/clock.js';

const CHUNK_MS = 20;
/** 5 s, which would be 230 kB on the wire. */
const MAX_CHUNKS = 250;
/** What may wait in the socket: 64 kB are 1.4 s of speech. Past that the chunks wait here, where they can be dropped. */
const MAX_BUFFERED_BYTES = 64 * 1024;
/** The network counts as slow until no more than this waits, a third of a second. */
const CALM_BUFFERED_BYTES = 16 * 1024;
/** RMS from which somebody may be speaking. */
const LOUD = 0.02 * 32768;

/** A chunk, or the mark where the user begins (true) or stops (false) being listened to. @typedef {Uint8Array | boolean} Sound */

export class SendQueue {
  /** @type {Sound[]} */
  #queue = [];
  #open = false;
  #held = false;
  #begun = false;
  #send;
  #bufferedBytes;
  muted = false;
  /** More waits in the socket than should. */
  slow = false;
  /** What was too old to be sent, in all. */
  droppedMs = 0;
  /** When something loud was last heard, epoch milliseconds. */
  loudAt = 0;

  /**
   * @param {(sound: Sound) => void} send
   * @param {() => number} bufferedBytes what the socket has not sent yet
   */
  constructor(send, bufferedBytes) {
    this.#send = send;
    this.#bufferedBytes = bufferedBytes;
  }

  /** The session is set up: what was kept goes out, in order. */
  open() {
    this.#open = true;
    this.pump();
  }

  /** While the service may not be spoken to, what is said waits as it does before the start. @param {boolean} held */
  hold(held) {
    this.#held = held;
    this.pump();
  }

  /** The connection is gone. @param {boolean} listening the user was being listened to: the next connection must know */
  close(listening) {
    this.#open = false;
    if (listening) this.#queue.unshift(true);
  }

  /** @param {Uint8Array<ArrayBuffer>} chunk of 20 ms, at the start of its buffer */
  push(chunk) {
    if (this.muted) return;
    this.#begun = true;
    if (isLoud(new Int16Array(chunk.buffer))) this.loudAt = epochNow();
    this.#queue.push(chunk);
    if (this.#queue.length > MAX_CHUNKS) {
      const oldest = this.#queue.findIndex((sound) => typeof sound !== 'boolean');
      this.#queue.splice(oldest, 1); // a mark that is lost would leave the service listening, or deaf
      this.droppedMs += CHUNK_MS;
    }
    this.pump();
  }

  /** Listens or does not, from here on: what is queued before keeps its place. @param {boolean} muted */
  mute(muted) {
    if (muted === this.muted) return;
    this.muted = muted;
    // Nothing said, nothing to end.
    if (!muted || this.#begun) this.#queue.push(!muted);
    this.#begun = !muted;
    this.pump();
  }

  /** Nothing of what waits is to go out, nor that it ended. */
  forget() {
    this.#queue = [];
  }

  /** Sends what the socket can bear. The next chunk, 20 ms later, is the clock that looks again. */
  pump() {
    if (!this.#open || this.#held) return;
    const buffered = this.#bufferedBytes();
    this.slow = buffered > (this.slow ? CALM_BUFFERED_BYTES : MAX_BUFFERED_BYTES);
    while (this.#queue.length > 0 && this.#bufferedBytes() <= MAX_BUFFERED_BYTES) {
      this.#send(/** @type {Sound} */ (this.#queue.shift()));
    }
  }
}

/** @param {Int16Array} samples */
function isLoud(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  return sum > samples.length * LOUD * LOUD;
}
