/**
 * The bounded queue of microphone audio. It waits for `setupComplete`, for a slow network, and for the next connection.
 *
 * People speak before the connection is up, so their words are kept and sent in order. Chunks that are too old are
 * dropped, because a queue without a limit would delay the rest of the conversation.
 */
import { epochNow } from '../shared/clock.js';
import { CHUNK_MS, LOUD_RMS, RmsMeter } from '../shared/pcm.js';

/** 5 s of audio, which take 230 kB on the wire. */
const MAX_CHUNKS = 5000 / CHUNK_MS;
/** 64 kB in the socket are 1.4 s of speech. Beyond that chunks wait here, where they can be dropped. */
const MAX_BUFFERED_BYTES = 64 * 1024;
/** The network counts as slow until the socket buffers less than this, a third of a second. */
const RECOVERED_BUFFERED_BYTES = 16 * 1024;

/** A chunk, or a mark: the service starts (true) or stops (false) to hear the user. @typedef {Uint8Array | boolean} Item */

export class SendQueue {
  /** @type {Item[]} */
  #queue = [];
  #open = false;
  #held = false;
  #hasAudio = false;
  #meter = new RmsMeter();
  #send;
  #bufferedBytes;
  muted = false;
  /** The socket buffers more than it should. */
  slow = false;
  /** All audio so far that was too old to be sent. */
  droppedMs = 0;
  /** When the input was last loud, epoch milliseconds. */
  loudAt = 0;

  /**
   * @param {(item: Item) => void} send
   * @param {() => number} bufferedBytes bytes that the socket has not sent yet
   */
  constructor(send, bufferedBytes) {
    this.#send = send;
    this.#bufferedBytes = bufferedBytes;
  }

  /** The session is set up: sends the waiting audio in order. */
  open() {
    this.#open = true;
    this.pump();
  }

  /** While the service must not hear anything, audio waits as it does before the start. @param {boolean} held */
  hold(held) {
    this.#held = held;
    this.pump();
  }

  /** The connection is gone. @param {boolean} listening the next connection has to know that the user is being heard */
  close(listening) {
    this.#open = false;
    if (listening) this.#queue.unshift(true);
  }

  /** @param {Uint8Array<ArrayBuffer>} chunk of 20 ms, at the start of its buffer */
  push(chunk) {
    if (this.muted) return;
    this.#hasAudio = true;
    this.#meter.add(new Int16Array(chunk.buffer));
    if (this.#meter.take() > LOUD_RMS * 32768) this.loudAt = epochNow();
    this.#queue.push(chunk);
    if (this.#queue.length > MAX_CHUNKS) {
      // Marks are never dropped: without one the service would stay deaf, or keep listening.
      const oldest = this.#queue.findIndex((item) => typeof item !== 'boolean');
      this.#queue.splice(oldest, 1);
      this.droppedMs += CHUNK_MS;
    }
    this.pump();
  }

  /** Mutes or unmutes from here on. Earlier items keep their place. @param {boolean} muted */
  mute(muted) {
    if (muted === this.muted) return;
    this.muted = muted;
    // Without audio there is nothing to end.
    if (!muted || this.#hasAudio) this.#queue.push(!muted);
    this.#hasAudio = !muted;
    this.pump();
  }

  /** Drops everything that waits, marks included. */
  clear() {
    this.#queue = [];
  }

  /** Sends as much as the socket can take. The next chunk, 20 ms later, tries again. */
  pump() {
    if (!this.#open || this.#held) return;
    const buffered = this.#bufferedBytes();
    this.slow = buffered > (this.slow ? RECOVERED_BUFFERED_BYTES : MAX_BUFFERED_BYTES);
    while (this.#queue.length > 0 && this.#bufferedBytes() <= MAX_BUFFERED_BYTES) {
      this.#send(/** @type {Item} */ (this.#queue.shift()));
    }
  }
}
