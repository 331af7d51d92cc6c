/**
 * The sentences that explain a refusal to a person. errors.js loads this module with the first refusal.
 * Leaves the reason, on which code branches, to errors.js.
 */
import { closeMeaning } from './close-reasons.js';

const AGAIN = 'Start again.';

/** @typedef {{detail: string, hint?: string}} Sentences */

/** By the name of the browser's error. @type {Record<string, Sentences>} */
const MICROPHONE = {
  NotAllowedError: {
    detail: 'The microphone is not allowed for this page.',
    hint: 'Allow it in the address bar or in the system settings, then try again.',
  },
  SecurityError: {
    detail: 'This page may not use the microphone.',
    hint: 'Open it over https, and not inside a frame that forbids the microphone.',
  },
  NotFoundError: { detail: 'No microphone was found.', hint: 'Connect one, or type instead.' },
  OverconstrainedError: { detail: 'The chosen microphone is not available.', hint: 'Choose another one.' },
};
const MICROPHONE_BUSY = { detail: 'The microphone could not be opened.', hint: 'Another program may be using it.' };

const SETTINGS = {
  detail: 'The service rejected the session’s settings.',
  hint: 'Tell the operator: the profile does not fit the model.',
};
/** @type {Partial<Record<import('./close-reasons.js').CloseKind, Sentences>>} */
const CLOSES = {
  quota: { detail: 'The service’s quota is used up.', hint: 'Try again later.' },
  credentials: { detail: 'The service rejected the credentials.', hint: 'Tell the operator.' },
  region: { detail: 'The service is not available in your region.' },
  settings: SETTINGS,
  argument: SETTINGS,
  'used-token': { detail: 'This token is used up.', hint: `${AGAIN} The page then gets a new token.` },
  'late-token': { detail: 'The token arrived too late to connect.', hint: AGAIN },
  'time-up': { detail: 'The session’s time is up.', hint: AGAIN },
  'expired-token': { detail: 'The token has expired.', hint: AGAIN },
  aborted: { detail: 'The service ended the connection.', hint: AGAIN },
};

/**
 * Returns the sentences for an error, or null when there are none better than its own.
 * @param {string | undefined} closeReason of the socket
 * @param {string | undefined} errorName of the error from `getUserMedia`
 */
export function explain(closeReason, errorName = '') {
  if (closeReason) {
    const { kind } = closeMeaning(0, closeReason);
    return (kind && CLOSES[kind]) ?? null;
  }
  return /^\w+Error$/.test(errorName) ? (MICROPHONE[errorName] ?? MICROPHONE_BUSY) : null;
}
