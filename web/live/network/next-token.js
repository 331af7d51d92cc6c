/**
 * The next token, requested while the old connection is still in use.
 * Leaves it to resilient-connection.js when to request it and when to use it.
 */
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { timesOf } from './broker-request.js';
import { actionFor, renewalDelayMs } from './reconnect-policy.js';

/** @typedef {import('./token-source.js').TokenAnswer} TokenAnswer */

/** A token is used at the latest this long before it expires. */
const CONNECT_MARGIN_MS = 1000;

export class NextToken {
  #request;
  #onrefused;
  /** Requested; `answer` is null until it arrives. @type {{answer: TokenAnswer | null, connectBy: number} | null} */
  #next = null;
  #retryAt = 0;
  #failures = 0;

  /**
   * @param {(handle: string) => Promise<TokenAnswer>} request
   * @param {(error: LiveError) => void} onrefused there will be no other token
   */
  constructor(request, onrefused) {
    this.#request = request;
    this.#onrefused = onrefused;
  }

  /**
   * Requests the token when that is allowed, and drops one that is too old. Returns whether a token is ready.
   * @param {number} now
   * @param {boolean} mayRequest
   * @param {boolean} mayKeep whether a token that arrived earlier is still good
   * @param {string} handle
   */
  update(now, mayRequest, mayKeep, handle) {
    const next = this.#next;
    if (next?.answer && (now > next.connectBy || !mayKeep)) this.#next = null;
    else if (!next && mayRequest && now >= this.#retryAt) void this.#fetch(handle);
    return !!this.#next?.answer;
  }

  /** The broker may be away. The conversation continues without it until its token expires. @param {string} handle */
  async #fetch(handle) {
    const next = { answer: /** @type {TokenAnswer | null} */ (null), connectBy: Infinity };
    this.#next = next;
    try {
      next.answer = await this.#request(handle);
      next.connectBy = timesOf(next.answer, epochNow()).connectBy - CONNECT_MARGIN_MS;
      this.#failures = 0;
    } catch (cause) {
      const error = LiveError.from(cause, 'network');
      this.#next = null;
      this.#retryAt = epochNow() + renewalDelayMs(error, this.#failures++);
      if (actionFor(error, 'open') === 'stop') this.#onrefused(error);
    }
  }

  /** Returns the token if it is still valid, or null. Either way it is used up. */
  take() {
    const next = this.#next;
    this.#next = null;
    return next && epochNow() <= next.connectBy ? next.answer : null;
  }
}
