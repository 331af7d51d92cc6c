/**
 * What can go wrong, for operators: the broker's own words where it has some, and what to do next.
 * Needs: nothing. Leaves: where it is shown to given.js and to the door.
 */

/** @typedef {import('../common/sign-in-form.js').Explanation & {status: number, requestId: string}} Explanation */

/** By the broker's code: title, and what to do unless the broker says more. @type {Record<string, [string, string]>} */
const TABLE = {
  network: ['The broker cannot be reached', 'Nothing is known to have changed. Check your connection, then try again.'],
  'missing-credentials': ['You are signed out', 'Sign in again to go on. What you typed is still there.'],
  'invalid-token': ['You are signed out', 'Your sign-in has ended. Sign in again; what you typed is still there.'],
  'token-expired': ['You are signed out', 'Your sign-in has ended. Sign in again; what you typed is still there.'],
  'bad-login': ['That username and password do not match', 'Check both and try again.'],
  'login-throttled': ['Too many tries', 'Please wait a little before the next one.'],
  'account-blocked': ['Your account is blocked', 'Another operator can unblock you.'],
  forbidden: ['This page is for operators', 'You are signed in without the role operator.'],
  'csrf-failed': ['This page is out of date', 'Reload it and go on; you stay signed in.'],
  'origin-forbidden': ['This address is not allowed', 'Open the page at the broker’s own address.'],
  'edit-conflict': ['Somebody else changed this meanwhile', 'Nothing of yours was saved.'],
  'invalid-field': ['Something is not right yet', 'Nothing was saved.'],
  'field-not-allowed': ['This broker does not know a field', 'Reload the page: it may be of another version.'],
  'not-found': ['It is not there', 'It may have been removed meanwhile.'],
  'session-unknown': ['There is no such session', 'It may have ended meanwhile.'],
  'session-ended': ['The session has ended already', 'Nothing was left to do.'],
  'rate-limited': ['Too many requests', 'Please wait a moment.'],
  'store-unavailable': ['The broker cannot reach its store', 'Nothing was changed. It tries again by itself.'],
  'audit-unavailable': ['The broker cannot keep its records', 'Nothing was changed.'],
  busy: ['The broker is busy', 'Nothing was changed. Please try again in a moment.'],
  draining: ['The broker is restarting', 'It is back in a moment.'],
};
const UNKNOWN = ['The broker has a problem', 'Its log tells more under the request id.'];
/** Here the broker knows the case better than the table does. */
const USE_SERVER_DETAIL = new Set(['forbidden', 'invalid-field', 'not-found', 'session-unknown', 'session-ended', 'field-not-allowed']);

/**
 * @param {unknown} error  an ApiError, or anything else that was thrown
 * @returns {Explanation}
 */
export function explain(error) {
  const given = /** @type {Partial<import('../common/api.js').ApiError>} */ (typeof error === 'object' && error !== null ? error : {});
  const code = given.code ?? 'unknown';
  const [title, own] = TABLE[code] ?? UNKNOWN;
  const detail = ((USE_SERVER_DETAIL.has(code) || !(code in TABLE)) && given.detail) || own;
  return {
    code, title, detail,
    status: given.status ?? 0,
    requestId: given.requestId ?? '',
    retryAfterSeconds: Math.max(0, Math.ceil(given.retryAfterSeconds ?? 0)),
  };
}
