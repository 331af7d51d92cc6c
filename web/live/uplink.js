/**
 * The microphone's way out: one bounded queue that waits for `setupComplete` first and for the network later.
 *
 * Owns: pre-roll and back-pressure, which are the same thing, a closed gate before a queue. Needs nothing.
 * People speak before the line is up, so what they said is kept and sent in order; what is too old is dropped, for
 * a queue without limit would make the rest of the conversation late.
 */

/** 5 s of 20 ms chunks. */
const MAX_CHUNKS = 250;
/** What may wait in the socket: 64 kB are 1.4 s of speech. Past that the chunks wait here, where they can be dropped. */
const MAX_BUFFERED_BYTES = 64 * 1024;

/** A chunk, or the mark where the user begins (true) or stops (false) being listened to. @typedef {Uint8Array | boolean} Sound */

export class Uplink {
  /** @type {Sound[]} */
  #queue = [];
  #open = false;
  #slow = false;
  #begun = false;
  #send;
  #bufferedBytes;
  #report;
  muted = false;

  /**
   * @param {(sound: Sound) => void} send
   * @param {() => number} bufferedBytes what the socket has not sent yet
   * @param {(report: {slow: boolean, dropped: number}) => void} report
   */
  constructor(send, bufferedBytes, report) {
    this.#send = send;
    this.#bufferedBytes = bufferedBytes;
    this.#report = report;
  }

  /** The session is set up: what was kept goes out, in order. */
  open() {
    this.#open = true;
    this.#pump();
  }

  /** @param {Uint8Array} chunk */
  push(chunk) {
    if (this.muted) return;
    this.#begun = true;
    this.#queue.push(chunk);
    if (this.#queue.length > MAX_CHUNKS) {
      const oldest = this.#queue.findIndex((sound) => typeof sound !== 'boolean');
      this.#queue.splice(oldest, 1); // a mark that is lost would leave the service listening, or deaf
      this.#report({ slow: this.#slow, dropped: 1 });
    }
    this.#pump();
  }

  /** Listens or does not, from here on: what is queued before keeps its place. @param {boolean} muted */
  mute(muted) {
    if (muted === this.muted) return;
    this.muted = muted;
    // Nothing said, nothing to end.
    if (!muted || this.#begun) this.#queue.push(!muted);
    this.#begun = !muted;
    this.#pump();
  }

  /** The next chunk, 20 ms later, is the clock that looks again: no timer needed. */
  #pump() {
    if (!this.#open) return;
    const slow = this.#bufferedBytes() > MAX_BUFFERED_BYTES;
    if (slow !== this.#slow) {
      this.#slow = slow;
      this.#report({ slow, dropped: 0 });
    }
    if (slow || this.#queue.length === 0) return;
    const sounds = this.#queue;
    this.#queue = [];
    for (const sound of sounds) this.#send(sound);
  }
}
