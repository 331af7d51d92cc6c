/**
 * LiveError: the one error of this library, made from an error of the browser, the broker or Google.
 * Leaves the sentences about a refusal to error-sentences.js. An error never contains a token.
 */
import { closeMeaning } from './close-reasons.js';

/**
 * @typedef {'permission-denied'|'no-microphone'|'no-camera'|'unsupported'|'token-refused'|'network'|'connection-refused'
 *   |'connection-lost'|'unreadable'|'no-answer'|'session-ended'|'tool-failed'|'aborted'} LiveErrorReason
 */
/**
 * @typedef {object} LiveErrorFields
 * @property {LiveErrorReason} reason the kind of failure, for code to branch on
 * @property {string} detail one plain sentence, for a person
 * @property {string} [hint] what the person can do
 * @property {string} [code] the broker's own code, e.g. `rate-limited`
 * @property {number} [status] the broker's HTTP status
 * @property {number} [retryAfterSeconds]
 * @property {number} [closeCode] of the WebSocket
 * @property {string} [closeReason]
 */

/** How long to wait for the sentences. Meanwhile a session that has ended still looks alive. */
const SENTENCES_TIMEOUT_MS = 2000;
const CHECK_NETWORK = 'Check the network, then try again.';
const START_AGAIN = 'Start again.';

export class LiveError extends Error {
  /** @type {string | undefined} */
  hint;
  /** @type {string | undefined} */
  code;
  /** @type {number | undefined} */
  status;
  /** @type {number | undefined} */
  retryAfterSeconds;
  /** @type {number | undefined} */
  closeCode;
  /** @type {string | undefined} */
  closeReason;

  /** @param {LiveErrorFields} fields @param {{cause?: unknown}} [options] */
  constructor(fields, options) {
    super(fields.detail, options);
    this.reason = fields.reason;
    this.detail = fields.detail;
    Object.assign(this, fields);
  }

  get name() {
    return 'LiveError';
  }

  /** The fields, to send across threads. `new LiveError(fields)` makes the same error again. @returns {LiveErrorFields} */
  toJSON() {
    return { ...this };
  }

  /** Anything that was thrown, as a LiveError. @param {unknown} cause @param {LiveErrorReason} reason */
  static from(cause, reason) {
    if (cause instanceof LiveError) return cause;
    return new LiveError({ reason, detail: cause instanceof Error ? cause.message : String(cause) });
  }

  static aborted() {
    return new LiveError({ reason: 'aborted', detail: 'The session ended before its start.' });
  }

  /** @param {string} detail @param {unknown} [cause] */
  static network(detail, cause) {
    return new LiveError({ reason: 'network', detail, hint: CHECK_NETWORK }, { cause });
  }

  /**
   * The session is over: its time is up, or the operator ended it.
   * @param {string} [detail] @param {Partial<LiveErrorFields>} [more]
   */
  static ended(detail = 'The session’s time is up.', more = {}) {
    return new LiveError({ hint: START_AGAIN, ...more, reason: 'session-ended', detail });
  }

  /** From an exception of `getUserMedia`. @param {unknown} cause */
  static microphone(cause) {
    if (cause instanceof LiveError) return cause;
    const { name, message } = /** @type {Error} */ (cause);
    const reason = /NotAllowed|Security/.test(name) ? 'permission-denied' : 'no-microphone';
    return new LiveError({ reason, detail: message || name }, { cause });
  }

  /**
   * From the broker's error response.
   * @param {number} status @param {any} problem the parsed body, or null
   * @param {string | null} retryAfter the header
   */
  static tokenRefused(status, problem, retryAfter) {
    const { detail, title, hint, code, retry_after_seconds } = problem ?? {};
    const seconds = Number(retryAfter || retry_after_seconds);
    return new LiveError({
      reason: 'token-refused',
      detail: detail || title || `The broker answered ${status}.`,
      hint,
      code,
      status,
      retryAfterSeconds: seconds > 0 ? seconds : undefined,
    });
  }

  /**
   * From the close of a socket.
   * @param {number} closeCode @param {string} closeReason @param {boolean} ready whether `setupComplete` had arrived
   */
  static closed(closeCode, closeReason, ready) {
    return new LiveError({ ...closeFields(closeCode, closeReason, ready), closeCode, closeReason });
  }

  /** The same error with sentences for a person, which load now. If they do not load, returns the error as it is. */
  async explained() {
    const errorName = this.reason === 'network' ? undefined : /** @type {any} */ (this.cause)?.name;
    if (!this.closeReason && !errorName) return this;
    const timeout = new Promise((resolve) => setTimeout(resolve, SENTENCES_TIMEOUT_MS));
    const module = await Promise.race([import('./error-sentences.js').catch(() => null), timeout]);
    return new LiveError({ ...this.toJSON(), ...module?.explain(this.closeReason, errorName) });
  }
}

/**
 * A module that loads on first use. Rejects with a LiveError when it cannot be loaded.
 * @template T @param {Promise<T>} module @returns {Promise<T>}
 */
export async function lazyModule(module) {
  try {
    return await module;
  } catch (cause) {
    throw LiveError.network('A part of the library did not load.', cause);
  }
}

/** @param {number} code @param {string} text @param {boolean} ready @returns {LiveErrorFields} */
function closeFields(code, text, ready) {
  const { kind } = closeMeaning(code, text);
  if (code === 1000 || kind === 'time-up') {
    return { reason: 'session-ended', detail: 'The service ended the session.', hint: START_AGAIN };
  }
  const refused = kind ? kind !== 'aborted' && kind !== 'overloaded' : code === 1007 || code === 1008;
  if (refused) return { reason: 'connection-refused', detail: `The service refused: ${text || code}.` };
  if (!ready && (code === 1006 || code === 0)) return LiveError.network('The service could not be reached.').toJSON();
  return { reason: 'connection-lost', detail: 'The connection was lost.', hint: CHECK_NETWORK };
}
