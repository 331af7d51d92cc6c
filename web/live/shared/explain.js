/**
 * What a refusal means, in sentences for a person. Owns the words; loaded with the first refusal. Needs nothing.
 * Leaves the reason, which code branches on, to errors.js.
 */
import { AGAIN } from './errors.js';

/** What the browser calls its error, or Google's text of a close; the first that fits. @type {[RegExp, string, string?][]} */
const SENTENCES = [
  [
    /^NotAllowedError$/,
    'The microphone is not allowed for this page.',
    'Allow it in the address bar or in the system settings, then try again.',
  ],
  [
    /^SecurityError$/,
    'This page may not use the microphone.',
    'Open it over https, and not inside a frame that forbids the microphone.',
  ],
  [/^NotFoundError$/, 'No microphone was found.', 'Connect one, or type instead.'],
  [/^OverconstrainedError$/, 'The chosen microphone is not there.', 'Choose another one.'],
  [/^\w+Error$/, 'The microphone could not be opened.', 'Another program may be using it.'],
  [/token has been used too many times/i, 'This token was used up.', `${AGAIN} It takes a new one.`],
  [/new_session_expire_time/i, 'The token came too late to connect.', AGAIN],
  [/^auth token has expired/i, 'The session’s time is up.', AGAIN],
  [/token has expired/i, 'The token had expired.', AGAIN],
  [/quota|resource has been exhausted/i, 'The service’s quota is used up.', 'Try again later.'],
  [/api key/i, 'The service refused the credentials.', 'Tell the operator.'],
  [/user location is not supported/i, 'The service is not offered in your region.'],
  [
    /is not found for api version|not supported by the model|cannot find field|invalid argument|is deprecated/i,
    'The service refused the session’s settings.',
    'Tell the operator: the profile does not fit the model.',
  ],
  [/goaway|the operation was aborted/i, 'The service ended the connection.', AGAIN],
];

/** @param {string} what @returns {{detail: string, hint?: string} | null} null: no better words */
export function explain(what) {
  const found = SENTENCES.find(([pattern]) => pattern.test(what));
  return found ? { detail: found[1], hint: found[2] } : null;
}
