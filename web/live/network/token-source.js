/**
 * Where a token comes from. Owns: the request to the broker and its failure. Needs errors.js.
 *
 * A source is asked to *describe* the next token: an endpoint describes a request, which the network worker then
 * makes, so that no token passes the page; the other two give an answer that they have or make themselves.
 */
import { LiveError } from '../shared/errors.js';

/**
 * What the broker answers to `POST /token` (the fields that this library reads).
 * @typedef {object} TokenAnswer
 * @property {string} token
 * @property {string} url
 * @property {{in: string, name: string}} [auth]
 * @property {Record<string, any>} [setup]
 * @property {string} [model]
 * @property {string} [profile]
 * @property {string} [expires_at] and `session.ends_at`, `session.renew_after`: by the broker's clock, for their distance only
 * @property {number} [expires_in] seconds
 * @property {number} [connect_within] seconds
 * @property {{id: string, ends_at?: string, renew_after?: string, heartbeat_seconds?: number}} [session]
 * @property {Record<string, any>} [limits]
 */
/** @typedef {'same-origin' | 'omit'} Credentials */
/** @typedef {{url: string, headers: Record<string, string>, body: string, credentials: Credentials}} TokenRequest */
/** @typedef {{request: TokenRequest} | {answer: TokenAnswer}} TokenPlan */
/**
 * What the app is told when it is asked for a token: of the next ones, which session goes on and by which handle.
 * @typedef {{signal: AbortSignal, session?: string, handle?: string}} TokenWish
 */
/** Epoch milliseconds by our clock; Infinity where nothing is said. `renewAt`: when to ask for the next token.
 * @typedef {{expiresAt: number, connectBy: number, renewAt: number, endsAt: number}} Terms */
/** @template T @typedef {T | (() => T | Promise<T>)} Given */

export class TokenSource {
  #describe;
  /** @type {Promise<TokenPlan> | null} */
  #pending = null;

  /** @param {(wish: TokenWish) => TokenPlan | Promise<TokenPlan>} describe */
  constructor(describe) {
    this.#describe = describe;
  }

  /**
   * A broker's token route.
   * @param {string | URL} url
   * @param {{headers?: Given<Record<string, string>>, body?: Given<object>, credentials?: Credentials}} [options]
   */
  static endpoint(url, { headers = {}, body = {}, credentials = 'same-origin' } = {}) {
    const base = globalThis.location?.href;
    return new TokenSource(async () => {
      const [extra, fields] = await Promise.all([given(headers), given(body)]);
      return {
        request: { url: new URL(url, base).href, headers: extra, body: JSON.stringify(fields), credentials },
      };
    });
  }

  /** An answer that is at hand; good for one connection. @param {TokenAnswer} answer */
  static literal(answer) {
    return new TokenSource(() => ({ answer }));
  }

  /** @param {(wish: TokenWish) => TokenAnswer | Promise<TokenAnswer>} fetchAnswer */
  static custom(fetchAnswer) {
    return new TokenSource(async (wish) => ({ answer: await fetchAnswer(wish) }));
  }

  /**
   * How to get the next token; one at a time, whoever asks.
   * @param {TokenWish} wish
   * @returns {Promise<TokenPlan>}
   */
  async describe(wish) {
    this.#pending ??= Promise.resolve(this.#describe(wish)).finally(() => (this.#pending = null));
    try {
      return await this.#pending;
    } catch (cause) {
      throw LiveError.from(cause, 'token-refused');
    }
  }
}

/** The broker answers within ten. */
const TIMEOUT_MS = 15_000;

/**
 * Asks the broker. Cannot be called off: what was granted must be known, to be given back.
 * @param {TokenRequest} request
 * @returns {Promise<TokenAnswer>}
 */
export async function requestToken({ url, headers, body, credentials }) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body,
    credentials,
    cache: 'no-store',
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((cause) => {
    throw LiveError.network('The broker could not be reached', cause);
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw LiveError.tokenRefused(response.status, answer, response.headers.get('Retry-After'));
  if (typeof answer?.token !== 'string' || typeof answer.url !== 'string') {
    throw new LiveError({ reason: 'token-refused', detail: 'The broker’s answer holds no token.' });
  }
  return answer;
}

/**
 * An answer's times on our clock. Devices' clocks lie: only lengths are taken, and times by the broker's clock only as
 * their distance from one another.
 * @param {TokenAnswer} answer
 * @param {number} now epoch milliseconds
 * @returns {Terms}
 */
export function termsOf({ expires_in, expires_at = '', connect_within, session }, now) {
  const after = (seconds = Infinity) => now + seconds * 1000;
  const expiresAt = after(expires_in);
  /** @param {string | undefined} moment */
  const at = (moment) => {
    const time = expiresAt + (Date.parse(moment ?? '') - Date.parse(expires_at)); // the distance first: it is a whole number
    return Number.isFinite(time) ? time : Infinity;
  };
  const endsAt = at(session?.ends_at);
  // The last slice ends with the session, and there is nothing to renew.
  const renewAt = expiresAt < endsAt ? at(session?.renew_after) : Infinity;
  return { expiresAt, connectBy: after(connect_within), renewAt, endsAt };
}

/**
 * @template T
 * @param {Given<T>} value
 * @returns {T | Promise<T>}
 */
function given(value) {
  return typeof value === 'function' ? /** @type {() => T | Promise<T>} */ (value)() : value;
}
