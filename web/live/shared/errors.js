/**
 * LiveError: the one error this library gives, made from what a browser, the broker or Google says. Owns its reason.
 * Needs explain.js, only when something is refused. Never holds a token.
 */

/**
 * @typedef {'permission-denied'|'no-microphone'|'no-camera'|'unsupported'|'token-refused'|'network'|'connection-refused'
 *   |'connection-lost'|'session-ended'|'tool-failed'|'aborted'} LiveErrorReason
 */
/**
 * @typedef {object} LiveErrorFields
 * @property {LiveErrorReason} reason what kind of failure, for code to branch on
 * @property {string} detail one plain sentence, for a person
 * @property {string} [hint] what to do about it
 * @property {string} [code] the broker's own code, e.g. `rate-limited`
 * @property {number} [status] the broker's HTTP status
 * @property {number} [retryAfterSeconds]
 * @property {number} [closeCode] of the WebSocket
 * @property {string} [closeReason]
 */

/** For words: what has ended must not seem to go on meanwhile. */
const PATIENCE_MS = 2000;
const CHECK = 'Check the network, then try again.';
export const AGAIN = 'Start again.';

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

  /** The plain form, to send across threads; `new LiveError(fields)` undoes it. @returns {LiveErrorFields} */
  toJSON() {
    return { ...this };
  }

  /**
   * Whatever was thrown, as a LiveError. @param {unknown} cause @param {LiveErrorReason} reason
   */
  static from(cause, reason) {
    if (cause instanceof LiveError) return cause;
    return new LiveError({ reason, detail: cause instanceof Error ? cause.message : String(cause) });
  }

  static aborted() {
    return new LiveError({ reason: 'aborted', detail: 'The session was ended before it had started.' });
  }

  /** @param {string} what could not be reached, as the beginning of a sentence @param {unknown} [cause] */
  static network(what, cause) {
    return new LiveError({ reason: 'network', detail: `${what}.`, hint: CHECK }, { cause });
  }

  /** The session is over, as it should be or as the operator wants it. @param {string} [detail] @param {Partial<LiveErrorFields>} [more] */
  static ended(detail = 'The session’s time is up.', more = {}) {
    return new LiveError({ hint: AGAIN, ...more, reason: 'session-ended', detail });
  }

  /** What `getUserMedia` threw. @param {unknown} cause */
  static microphone(cause) {
    if (cause instanceof LiveError) return cause;
    const { name, message } = /** @type {Error} */ (cause);
    const reason = /NotAllowed|Security/.test(name) ? 'permission-denied' : 'no-microphone';
    return new LiveError({ reason, detail: message || name }, { cause });
  }

  /**
   * The broker's problem answer. @param {number} status @param {any} problem the parsed body, or null
   * @param {string | null} retryAfter the header
   */
  static tokenRefused(status, problem, retryAfter) {
    const seconds = Number(retryAfter || problem?.retry_after_seconds);
    return new LiveError({
      reason: 'token-refused',
      detail: problem?.detail || problem?.title || `The broker answered ${status}.`,
      hint: problem?.hint,
      code: problem?.code,
      status,
      retryAfterSeconds: seconds > 0 ? seconds : undefined,
    });
  }

  /**
   * How the socket closed. @param {number} closeCode @param {string} closeReason @param {boolean} ready
   * whether `setupComplete` had come
   */
  static closed(closeCode, closeReason, ready) {
    return new LiveError({ ...meaning(closeCode, closeReason, ready), closeCode, closeReason });
  }

  /**
   * The same with the sentences for a person, which come with the first refusal; where they cannot be had, as it is.
   */
  async explained() {
    const what = this.closeReason || (this.reason !== 'network' && /** @type {any} */ (this.cause)?.name);
    if (!what) return this;
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    const words = await Promise.race([import('./explain.js').catch(() => null), late]);
    return new LiveError({ ...this.toJSON(), ...words?.explain(what) });
  }
}

/**
 * A module that comes with its first use. Rejects with a LiveError when it cannot be had.
 * @template T @param {Promise<T>} part @returns {Promise<T>}
 */
export async function loaded(part) {
  try {
    return await part;
  } catch (cause) {
    throw LiveError.network('A part of the library could not be loaded', cause);
  }
}

/** Texts decide before codes: Google's 1008 and 1011 mix what is final with what will pass. */
const TIME_UP = /^auth token has expired/i;
const REFUSED =
  /token has|expire_time|quota|exhausted|api key|location is not|not found for api|not supported by|cannot find field|invalid argument|deprecated/i;
const LOST = /goaway|operation was aborted/i;

/**
 * @param {number} code
 * @param {string} text
 * @param {boolean} ready
 * @returns {LiveErrorFields}
 */
function meaning(code, text, ready) {
  if (code === 1000 || TIME_UP.test(text)) {
    return { reason: 'session-ended', detail: 'The service ended the session.', hint: AGAIN };
  }
  if (REFUSED.test(text) || ((code === 1007 || code === 1008) && !LOST.test(text))) {
    return { reason: 'connection-refused', detail: `The service refused: ${text || code}.` };
  }
  if (!ready && (code === 1006 || code === 0)) return LiveError.network('The service could not be reached').toJSON();
  return { reason: 'connection-lost', detail: 'The connection was lost.', hint: CHECK };
}
