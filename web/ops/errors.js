/**
 * Explains errors to operators: the broker's own words where they are more exact, and the next step.
 * error-box.js and the sign-in form show them.
 */

/** @typedef {import('../common/sign-in-form.js').Explanation & {status: number, requestId: string}} Explanation */

/** Title and next step by the broker's code. @type {Record<string, [string, string]>} */
const TABLE = {
  network: [
    'The broker cannot be reached',
    'The change may not have been saved. Check your connection, then try again.',
  ],
  'missing-credentials': ['You are signed out', 'Sign in again to continue. What you typed is still there.'],
  'invalid-token': ['You are signed out', 'Your sign-in has expired. Sign in again. What you typed is still there.'],
  'token-expired': ['You are signed out', 'Your sign-in has expired. Sign in again. What you typed is still there.'],
  'bad-login': ['That username and password do not match', 'Check both and try again.'],
  'login-throttled': ['Too many attempts', 'Wait a little before you try again.'],
  'account-blocked': ['Your account is blocked', 'Another operator can unblock you.'],
  forbidden: ['This page is for operators', 'Your account does not have the operator role.'],
  'csrf-failed': ['This page is out of date', 'Reload it to continue. You stay signed in.'],
  'origin-forbidden': ['This address is not allowed', 'Open the page at the broker’s own address.'],
  'edit-conflict': ['Another operator changed this', 'Your changes were not saved.'],
  'invalid-field': ['Some values are not valid', 'Nothing was saved.'],
  'field-not-allowed': ['The broker rejected an unknown field', 'The page may be from another version. Reload it.'],
  'not-found': ['Not found', 'It may have been removed.'],
  'session-unknown': ['No such session', 'It may have ended already.'],
  'session-ended': ['The session has already ended', 'There is nothing to do.'],
  'rate-limited': ['Too many requests', 'Wait a moment, then try again.'],
  'store-unavailable': [
    'The broker cannot reach its store',
    'Nothing was changed. The page tries again automatically.',
  ],
  'audit-unavailable': ['The broker cannot write to the audit trail', 'Nothing was changed.'],
  busy: ['The broker is busy', 'Nothing was changed. Try again in a moment.'],
  draining: ['The broker is restarting', 'Try again in a moment.'],
};
const UNKNOWN = ['Something went wrong in the broker', 'Search its log for the request id.'];
/** Codes for which the broker's detail is more exact than the table. */
const USE_SERVER_DETAIL = new Set([
  'forbidden',
  'invalid-field',
  'not-found',
  'session-unknown',
  'session-ended',
  'field-not-allowed',
]);

/**
 * @param {unknown} error  an ApiError, or anything else that was thrown
 * @returns {Explanation}
 */
export function explain(error) {
  const given = /** @type {Partial<import('../common/api.js').ApiError>} */ (
    typeof error === 'object' && error !== null ? error : {}
  );
  const code = given.code ?? 'unknown';
  const [title, own] = TABLE[code] ?? UNKNOWN;
  const detail = ((USE_SERVER_DETAIL.has(code) || !(code in TABLE)) && given.detail) || own;
  return {
    code,
    title,
    detail,
    status: given.status ?? 0,
    requestId: given.requestId ?? '',
    retryAfterSeconds: Math.max(0, Math.ceil(given.retryAfterSeconds ?? 0)),
  };
}
