/**
 * Every way things can fail, as one plain sentence and a way on. A table, so that a new code is one new row.
 * Needs: nothing. Leaves: how it looks to notice.js, what an action does to main.js.
 */

/**
 * `useServerDetail`: the library knows the case better than this table does, so its sentence is the detail.
 * @typedef {'retry' | 'other-sessions' | 'sign-in' | 'type' | 'reload' | 'dismiss'} Action
 * @typedef {{title: string, detail: string, actions: Action[], useServerDetail?: boolean}} Row
 * @typedef {Row & {code: string, retryAfterSeconds: number}} Explanation
 * @typedef {{code?: string, reason?: string, detail?: string, hint?: string, retryAfterSeconds?: number}} Thrown
 */

/** @type {Record<Action, string>} */
export const ACTION_LABELS = {
  retry: 'Try again',
  'other-sessions': 'Show them',
  'sign-in': 'Sign in',
  type: 'Type instead',
  reload: 'Reload the page',
  dismiss: 'Close',
};

/** @type {(title: string, detail: string, ...actions: Action[]) => Row} */
const row = (title, detail, ...actions) => ({ title, detail, actions });

const OURS = row('The service has a problem', 'It is on our side and nothing was charged to you. Please try again in a moment.', 'retry');
const UPSTREAM = row('The model cannot be reached', 'The service behind this page did not answer. Nothing was charged to you.', 'retry');
const FULL = row('Everyone is talking right now', 'The service is at its limit. A place usually comes free within a minute.', 'retry');
const SIGNED_OUT = row('You are signed out', 'Your sign-in has ended. Sign in again to go on.', 'sign-in');

/** By the broker's code first, then by the library's reason. @type {Record<string, Row>} */
const TABLE = {
  // the microphone and the browser
  'permission-denied': row('The microphone is blocked', 'Allow it for this page in your browser’s site settings, then try again. You can also type.', 'retry', 'type'),
  'no-camera': { ...row('No working camera', 'Connect one or allow it, then try again.', 'dismiss'), useServerDetail: true },
  'no-microphone': { ...row('No working microphone', 'Connect one or switch it on, then try again.', 'retry', 'type'), useServerDetail: true },
  unsupported: row('This browser cannot do it', 'Live audio needs a current version of Chrome, Edge, Firefox or Safari, over https.', 'type'),
  // the line
  network: row('The broker cannot be reached', 'Check your connection, then try again.', 'retry'),
  // Some browsers do not ask again for a module that failed once; a reload does.
  'part-missing': row('A part of the page did not arrive', 'Check your connection, then try again. If that does not help, reload the page.', 'retry', 'reload'),
  'panel-missing': row('That part of the page did not arrive', 'Check your connection and open it again. If that does not help, reload the page.', 'dismiss'),
  offline: row('You are offline', 'Talking goes on as soon as your connection is back.'),
  'connection-refused': { ...row('The model’s service refused', 'It did not accept the conversation. A new try gets a fresh pass.', 'retry'), useServerDetail: true },
  'connection-lost': row('The connection was lost', 'What was said so far stays below. Start again to go on.', 'retry'),
  'session-ended': { ...row('This conversation has ended', 'Start a new one whenever you like.', 'retry'), useServerDetail: true },
  'tool-failed': row('A helper of the page failed', 'The conversation goes on without its answer.', 'dismiss'),
  'send-failed': row('Your message was not sent', 'It is still in the box below.', 'dismiss'),
  // who you are
  'bad-login': row('That username and password do not match', 'Check both and try again.', 'dismiss'),
  'login-throttled': row('Too many tries', 'For your safety, please wait a little before the next one.', 'retry'),
  'sign-in-failed': row('The sign-in did not work', 'Nothing was changed. Please try again.', 'dismiss'),
  'sign-in-cancelled': row('The sign-in was cancelled', 'You can start again, or sign in another way.', 'dismiss'),
  'sign-in-expired': row('The sign-in took too long', 'It is good for ten minutes and for one try in this browser. Please start again.', 'dismiss'),
  'sign-in-unavailable': row('The sign-in service cannot be reached', 'Please try again in a moment, or sign in another way.', 'dismiss'),
  'missing-credentials': SIGNED_OUT,
  'invalid-token': SIGNED_OUT,
  'token-expired': SIGNED_OUT,
  'csrf-failed': row('This page is out of date', 'Reload it and go on; you stay signed in.', 'reload'),
  'origin-forbidden': row('This address is not allowed', 'Open the page at the address your operator gave you.', 'reload'),
  'account-blocked': row('Your account is blocked', 'Please ask whoever runs this service.', 'sign-in'),
  forbidden: row('You may not do this', 'Please ask whoever runs this service.', 'dismiss'),
  'profile-forbidden': row('This choice is not open to you', 'Pick another one, then try again.', 'retry'),
  'profile-unknown': row('This choice no longer exists', 'Reload the page to see the current ones.', 'reload'),
  // your own allowance
  'rate-limited': row('A short pause', 'You have started many conversations in a short time. The button counts until the next one.', 'retry'),
  'too-many-sessions': row('You are already talking elsewhere', 'End a conversation in your other window or device, or end it from here. Then this one begins.', 'other-sessions'),
  'minutes-exhausted': row('Today’s minutes are used up', 'There are new ones tomorrow.', 'dismiss'),
  // the service
  'project-capacity': FULL,
  'upstream-quota': FULL,
  busy: FULL,
  'upstream-error': UPSTREAM,
  'upstream-timeout': UPSTREAM,
  'upstream-rejected': row('The service is not set up correctly', 'Its operator has to look at this. Nothing was charged to you.', 'retry'),
  'minting-suspended': row('Conversations are paused', 'The operator has paused the service for now.', 'retry'),
  draining: row('The service is restarting', 'It is back in a moment.', 'retry'),
};

/**
 * What to tell a person about a given, and what they can do.
 * @param {unknown} error  a LiveError, an ApiError, or anything else that was thrown
 * @returns {Explanation}
 */
export function explain(error) {
  const given = /** @type {Thrown} */ (typeof error === 'object' && error !== null ? error : {});
  const code = [given.code, given.reason].find((name) => name !== undefined && name in TABLE) ?? given.code ?? given.reason ?? 'unknown';
  const known = TABLE[code] ?? OURS;
  const detail = (known.useServerDetail && [given.detail, given.hint].filter(Boolean).join(' ')) || known.detail;
  return { ...known, code, detail, retryAfterSeconds: Math.max(0, Math.ceil(given.retryAfterSeconds ?? 0)) };
}
