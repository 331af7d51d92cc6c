/**
 * Requests to the broker: how they are sent, how a token is requested, and the times in the answer.
 * Leaves a session's other routes to broker-session.js.
 */
import { LiveError } from '../shared/errors.js';

/** @typedef {import('./token-source.js').TokenRequest} TokenRequest */
/** @typedef {import('./token-source.js').TokenAnswer} TokenAnswer */
/**
 * Epoch milliseconds by this device's clock; Infinity where the answer has no time. `renewAt`: when to request the next
 * token.
 * @typedef {{expiresAt: number, connectBy: number, renewAt: number, endsAt: number}} TokenTimes
 */

/** The broker answers within ten seconds. */
const TIMEOUT_MS = 15_000;
/** The broker's codes that end a session, on any route. */
export const ENDING_CODES = new Set(['session-ended', 'account-blocked', 'minutes-exhausted', 'budget-exhausted']);

/** @param {TokenRequest} request @param {boolean} [keepalive] the request survives the page and has no time limit */
export function postToBroker({ url, headers, body, credentials }, keepalive = false) {
  return fetch(url, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body,
    credentials,
    cache: 'no-store',
    redirect: 'error',
    keepalive,
    signal: keepalive ? undefined : AbortSignal.timeout(TIMEOUT_MS),
  });
}

/**
 * Requests a token. The request cannot be cancelled: a granted session must be known, so that it can be ended.
 * @param {TokenRequest} request
 * @param {string} [key] the broker answers the same key and body with the same session
 * @returns {Promise<TokenAnswer>}
 */
export async function requestToken(request, key) {
  const headers = key ? { 'Idempotency-Key': key, ...request.headers } : request.headers;
  const response = await postToBroker({ ...request, headers }).catch((cause) => {
    throw LiveError.network('The broker could not be reached.', cause);
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw LiveError.tokenRefused(response.status, answer, response.headers.get('Retry-After'));
  if (typeof answer?.token !== 'string' || typeof answer.url !== 'string') {
    throw new LiveError({ reason: 'token-refused', detail: 'The answer contains no token.' });
  }
  return answer;
}

/**
 * The times of an answer, by this device's clock. Device clocks are often wrong, so only durations are used: times by
 * the broker's clock count by their difference from one another.
 * @param {TokenAnswer} answer
 * @param {number} now epoch milliseconds
 * @returns {TokenTimes}
 */
export function timesOf({ expires_in, expires_at = '', connect_within, session }, now) {
  const after = (seconds = Infinity) => now + seconds * 1000;
  const expiresAt = after(expires_in);
  /** @param {string | undefined} moment */
  const localTime = (moment) => {
    // The difference comes first, because it is a whole number.
    const time = expiresAt + (Date.parse(moment ?? '') - Date.parse(expires_at));
    return Number.isFinite(time) ? time : Infinity;
  };
  const endsAt = localTime(session?.ends_at);
  // The last token of a session ends with it, so there is nothing to renew.
  const renewAt = expiresAt < endsAt ? localTime(session?.renew_after) : Infinity;
  return { expiresAt, connectBy: after(connect_within), renewAt, endsAt };
}
