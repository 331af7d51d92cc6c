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

export class Uplink {
  /** @type {Uint8Array[]} */
  #queue = [];
  #open = false;
  #slow = false;
  #send;
  #bufferedBytes;
  #report;
  muted = false;

  /**
   * @param {(chunk: Uint8Array) => void} send
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
    this.#queue.push(chunk);
    if (this.#queue.length > MAX_CHUNKS) {
      this.#queue.shift();
      this.#report({ slow: this.#slow, dropped: 1 });
    }
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
    const chunks = this.#queue;
    this.#queue = [];
    for (const chunk of chunks) this.#send(chunk);
  }
}
