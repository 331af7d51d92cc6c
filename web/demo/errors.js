/**
 * One sentence and one next step for every error, in a table: a new code is a new row.
 * notice.js shows them; main.js runs the actions.
 */

/**
 * `useServerDetail`: the error's own detail is more exact than this table's, so it is shown instead.
 * @typedef {'retry' | 'again' | 'other-sessions' | 'sign-in' | 'type' | 'reload' | 'dismiss'} Action
 * @typedef {{title: string, detail: string, actions: Action[], useServerDetail?: boolean}} Row
 * @typedef {Row & {code: string, retryAfterSeconds: number}} Explanation
 * @typedef {{code?: string, reason?: string, detail?: string, hint?: string, retryAfterSeconds?: number}} Thrown
 */

/** @type {Record<Action, string>} */
export const ACTION_LABELS = {
  retry: 'Try again',
  again: 'Start again',
  'other-sessions': 'Show my conversations',
  'sign-in': 'Sign in',
  type: 'Type instead',
  reload: 'Reload the page',
  dismiss: 'Close',
};

/** @type {(title: string, detail: string, ...actions: Action[]) => Row} */
const row = (title, detail, ...actions) => ({ title, detail, actions });

const OURS = row('Something went wrong on our side', 'You were not charged. Try again in a moment.', 'retry');
const UPSTREAM = row(
  'The model cannot be reached',
  'The service behind this page did not respond. You were not charged. Try again in a moment.',
  'retry',
);
const FULL = row(
  'Everyone is talking right now',
  'The service is at its limit. A place usually becomes free within a minute.',
  'retry',
);
const SIGNED_OUT = row('You are signed out', 'Your sign-in has expired. Sign in again to continue.', 'sign-in');

/** Rows by the broker's code or the library's reason. The code has priority. @type {Record<string, Row>} */
const TABLE = {
  // the microphone and the browser
  'permission-denied': row(
    'The microphone is blocked',
    'Allow it for this page in your browser’s site settings, then try again. You can also type instead.',
    'retry',
    'type',
  ),
  'no-camera': {
    ...row('No working camera', 'Connect a camera or allow access to it, then try again.', 'dismiss'),
    useServerDetail: true,
  },
  'no-microphone': {
    ...row('No working microphone', 'Connect a microphone or switch it on, then try again.', 'retry', 'type'),
    useServerDetail: true,
  },
  unsupported: row(
    'This browser isn’t supported',
    'Voice needs a current version of Chrome, Edge, Firefox or Safari, over HTTPS.',
    'type',
  ),
  'insecure-page': row(
    'This page needs HTTPS',
    'Browsers allow sign-in and voice only over https. Open the same address with https:// in front.',
  ),
  // the connection
  'end-lost': row(
    'The service was not told of the end',
    'The conversation has ended here. It counts towards your minutes until it expires by itself.',
    'dismiss',
  ),
  'heartbeats-lost': row(
    'The service cannot see this conversation',
    'Something, perhaps a content blocker, blocks the page’s requests. Allow them, or the conversation may end soon.',
    'dismiss',
  ),
  network: row('The service cannot be reached', 'Check your connection, then try again.', 'retry'),
  // Some browsers never request a failed module again. A reload does.
  'part-missing': row(
    'Part of the page didn’t load',
    'Check your connection, then try again. If that does not help, reload the page.',
    'retry',
    'reload',
  ),
  'panel-missing': row(
    'Part of the page didn’t load',
    'Check your connection, then open the panel again. If that does not help, reload the page.',
    'dismiss',
  ),
  offline: row('You are offline', 'You can talk again as soon as your connection is back.'),
  'connection-refused': {
    ...row('The model refused the connection', 'Try again to connect with a new token.', 'retry'),
    useServerDetail: true,
  },
  'connection-lost': row('The connection was lost', 'The transcript stays below. Start again to continue.', 'retry'),
  'no-answer': row(
    'The assistant no longer answers',
    'Nothing helped, not even a new connection. The transcript stays below. Start again to continue.',
    'retry',
  ),
  'session-ended': {
    ...row('This conversation has ended', 'You can start a new one at any time.', 'again'),
    useServerDetail: true,
  },
  'ended-by-operator': row('An operator ended this conversation.', 'You can start a new one at any time.', 'again'),
  'tool-failed': row('A tool failed', 'The conversation continues without its answer.', 'dismiss'),
  'send-failed': row('Your message was not sent', 'Your text is still in the box below.', 'dismiss'),
  // sign-in and permissions
  'bad-login': row('That username and password do not match', 'Check both and try again.', 'dismiss'),
  'login-throttled': row('Too many attempts', 'For your safety, wait a little before you try again.', 'retry'),
  'sign-in-failed': row('Sign-in failed', 'Nothing was changed. Try again.', 'dismiss'),
  'sign-in-cancelled': row('Sign-in was cancelled', 'Start again, or sign in another way.', 'dismiss'),
  'sign-in-expired': row(
    'Sign-in took too long',
    'You have ten minutes and one attempt in this browser. Start again.',
    'dismiss',
  ),
  'sign-in-unavailable': row(
    'The sign-in service cannot be reached',
    'Try again in a moment, or sign in another way.',
    'dismiss',
  ),
  'missing-credentials': SIGNED_OUT,
  'invalid-token': SIGNED_OUT,
  'token-expired': SIGNED_OUT,
  'csrf-failed': row('This page is out of date', 'Reload it to continue. You stay signed in.', 'reload'),
  'origin-forbidden': row(
    'This address is not allowed',
    'Open the page at the address your operator gave you.',
    'reload',
  ),
  // Without a button: nothing that the person can press helps.
  'account-blocked': row('Your account is blocked', 'Ask the operator of this service for help.'),
  forbidden: row('You are not allowed to do this', 'Ask the operator of this service for help.', 'dismiss'),
  'profile-forbidden': row('You cannot use this assistant', 'Choose another one, then try again.', 'retry'),
  'profile-unknown': row('This assistant no longer exists', 'Reload the page to see the current list.', 'reload'),
  // the limits of this user
  'rate-limited': row('Slow down a moment', 'You started many conversations in a short time.', 'retry'),
  'too-many-sessions': row(
    'You are already in another conversation',
    'End it in your other window or on your other device, or end it here. Then this one starts.',
    'other-sessions',
  ),
  'places-held': {
    ...row(
      'Your ended conversations still count',
      'An ended conversation counts towards your limit for a short time.',
      'retry',
    ),
    useServerDetail: true,
  },
  'place-freed': row('Your other conversation has ended', 'You can start a new one now.', 'retry'),
  'minutes-exhausted': row('Your minutes are used up', 'You get new minutes at 00:00 UTC.', 'dismiss'),
  'budget-exhausted': row('The budget is used up', 'You can talk again when a new day or month begins.', 'dismiss'),
  // the service
  'project-capacity': FULL,
  'upstream-quota': FULL,
  busy: FULL,
  'upstream-error': UPSTREAM,
  'upstream-timeout': UPSTREAM,
  'upstream-rejected': row(
    'The service is not set up correctly',
    'The operator has to fix this. You were not charged.',
    'retry',
  ),
  'minting-suspended': row(
    'Conversations are paused',
    'The operator has paused the service. Try again later.',
    'retry',
  ),
  draining: row('The service is restarting', 'Try again in a moment.', 'retry'),
};

/**
 * Explains an error to a person, with the actions that they can take.
 * @param {unknown} error  a LiveError, an ApiError, or anything else that was thrown
 * @returns {Explanation}
 */
export function explain(error) {
  const given = /** @type {Thrown} */ (typeof error === 'object' && error !== null ? error : {});
  const code = onThisPage(codeOf(given));
  const known = TABLE[code] ?? OURS;
  const detail = (known.useServerDetail && serverDetail(code, given)) || known.detail;
  const retryAfterSeconds = Math.max(0, Math.ceil(given.retryAfterSeconds ?? 0));
  if (code === 'minutes-exhausted') return { ...known, code, detail: newMinutes(given) ?? detail, retryAfterSeconds };
  return { ...known, code, detail, retryAfterSeconds };
}

/**
 * The cause, where the page knows better: a browser that is offline, or a page without https, where browsers keep no
 * sign-in and give no microphone.
 * @param {string} code
 */
function onThisPage(code) {
  if (code === 'network' && globalThis.navigator?.onLine === false) return 'offline';
  const blocked = !(code in TABLE) || code === 'unsupported' || code === 'no-microphone' || SIGNED_OUT === TABLE[code];
  return globalThis.isSecureContext === false && blocked ? 'insecure-page' : code;
}

/** @param {Thrown} given */
function codeOf({ code, reason, detail = '' }) {
  if (reason === 'session-ended' && /operator/i.test(detail)) return 'ended-by-operator';
  return [code, reason].find((name) => name !== undefined && name in TABLE) ?? code ?? reason ?? 'unknown';
}

/** @param {string} code @param {Thrown} given */
function serverDetail(code, { detail = '', hint }) {
  if (code !== 'session-ended') return [detail, hint].filter(Boolean).join(' ');
  // The title and the button say this already.
  return /^(this|the) (session|conversation) has ended\.?$|POST \/token/i.test(detail) ? '' : detail;
}

/** How many minutes come back, if the broker's sentence says it. @param {Thrown} given */
function newMinutes({ detail = '' }) {
  const [, minutes] = /\b(\d+) minutes\b/.exec(detail) ?? [];
  if (detail.startsWith('This month')) return `You get ${minutes} new minutes when a new month begins.`;
  return minutes && `You get ${minutes} new minutes at 00:00 UTC.`;
}
