/**
 * LiveError: the one error this library gives, and the tables that make it from what a browser, the broker
 * or Google says. Owns every sentence a user may read. Needs nothing. Never holds a token.
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

export class LiveError extends Error {
  /** @param {LiveErrorFields} fields */
  constructor(fields) {
    super(fields.detail);
    this.name = 'LiveError';
    this.reason = fields.reason;
    this.detail = fields.detail;
    this.hint = fields.hint;
    this.code = fields.code;
    this.status = fields.status;
    this.retryAfterSeconds = fields.retryAfterSeconds;
    this.closeCode = fields.closeCode;
    this.closeReason = fields.closeReason;
  }

  /** The plain form, to send across threads; `new LiveError(fields)` undoes it. @returns {LiveErrorFields} */
  toJSON() {
    const { reason, detail, hint, code, status, retryAfterSeconds, closeCode, closeReason } = this;
    return { reason, detail, hint, code, status, retryAfterSeconds, closeCode, closeReason };
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

  /** A connection that was opened and then nothing. */
  static unanswered() {
    const hint = 'Check the network, then try again.';
    return new LiveError({ reason: 'network', detail: 'The service did not answer.', hint });
  }

  /** The session is over, as it should be or as the operator wants it. @param {string} [detail] @param {Partial<LiveErrorFields>} [more] */
  static ended(detail = 'The session’s time is up.', more = {}) {
    return new LiveError({ hint: AGAIN, ...more, reason: 'session-ended', detail });
  }

  /** What `getUserMedia` threw. @param {unknown} cause */
  static microphone(cause) {
    const name = cause instanceof Error || cause instanceof DOMException ? cause.name : '';
    return new LiveError(MICROPHONE_ERRORS[name] ?? MICROPHONE_ERRORS.NotReadableError);
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
      retryAfterSeconds: Number.isFinite(seconds) && seconds > 0 ? seconds : undefined,
    });
  }

  /**
   * How the socket closed. @param {number} closeCode @param {string} closeReason @param {boolean} ready
   * whether `setupComplete` had come
   */
  static closed(closeCode, closeReason, ready) {
    const row = CLOSES.find(([pattern]) => pattern.test(closeReason));
    const known = row?.[1] ?? byCode(closeCode, closeReason, ready);
    return new LiveError({ ...known, closeCode, closeReason });
  }
}

/** @type {Record<string, LiveErrorFields>} */
const MICROPHONE_ERRORS = {
  NotAllowedError: {
    reason: 'permission-denied',
    detail: 'The microphone is not allowed for this page.',
    hint: 'Allow it in the address bar or in the system settings, then try again.',
  },
  SecurityError: {
    reason: 'permission-denied',
    detail: 'This page may not use the microphone.',
    hint: 'Open it over https, and not inside a frame that forbids the microphone.',
  },
  NotFoundError: {
    reason: 'no-microphone',
    detail: 'No microphone was found.',
    hint: 'Connect one, or type instead.',
  },
  OverconstrainedError: {
    reason: 'no-microphone',
    detail: 'The chosen microphone is not there.',
    hint: 'Choose another one.',
  },
  NotReadableError: {
    reason: 'no-microphone',
    detail: 'The microphone could not be opened.',
    hint: 'Another program may be using it.',
  },
};

const AGAIN = 'Start again.';

/**
 * Reason texts first: Google's 1008 and 1011 mix what is final with what will pass.
 * @type {[RegExp, LiveErrorFields][]}
 */
const CLOSES = [
  [
    /token has been used too many times/i,
    { reason: 'connection-refused', detail: 'This token was used up.', hint: `${AGAIN} It takes a new one.` },
  ],
  [
    /new_session_expire_time/i,
    { reason: 'connection-refused', detail: 'The token came too late to connect.', hint: AGAIN },
  ],
  [/^auth token has expired/i, { reason: 'session-ended', detail: 'The session’s time is up.', hint: AGAIN }],
  [/token has expired/i, { reason: 'connection-refused', detail: 'The token had expired.', hint: AGAIN }],
  [
    /quota|resource has been exhausted/i,
    { reason: 'connection-refused', detail: 'The service’s quota is used up.', hint: 'Try again later.' },
  ],
  [
    /api key/i,
    { reason: 'connection-refused', detail: 'The service refused the credentials.', hint: 'Tell the operator.' },
  ],
  [
    /user location is not supported/i,
    { reason: 'connection-refused', detail: 'The service is not offered in your region.' },
  ],
  [
    /is not found for api version|not supported by the model|cannot find field|invalid argument|is deprecated/i,
    {
      reason: 'connection-refused',
      detail: 'The service refused the session’s settings.',
      hint: 'Tell the operator: the profile does not fit the model.',
    },
  ],
  [
    /goaway|the operation was aborted/i,
    { reason: 'connection-lost', detail: 'The service ended the connection.', hint: AGAIN },
  ],
];

/**
 * @param {number} code
 * @param {string} text
 * @param {boolean} ready
 * @returns {LiveErrorFields}
 */
function byCode(code, text, ready) {
  if (code === 1000) {
    return { reason: 'session-ended', detail: 'The service ended the session.', hint: AGAIN };
  }
  if (!ready && (code === 1006 || code === 0)) {
    return {
      reason: 'network',
      detail: 'The service could not be reached.',
      hint: 'Check the network, then try again.',
    };
  }
  if (code === 1007 || code === 1008) {
    return { reason: 'connection-refused', detail: `The service refused: ${text || code}.` };
  }
  return {
    reason: 'connection-lost',
    detail: 'The connection was lost.',
    hint: 'Check the network, then start again.',
  };
}
