/**
 * Where a token comes from. Owns: the request to the broker and its failure. Needs errors.js.
 *
 * A source is asked to *describe* the next token: an endpoint describes a request, which the network worker then
 * makes, so that no token passes the page; the other two give an answer that they have or make themselves.
 */
import { LiveError } from './errors.js';

/**
 * What the broker answers to `POST /token` (the fields that this library reads).
 * @typedef {object} TokenAnswer
 * @property {string} token
 * @property {string} url
 * @property {{in: string, name: string}} [auth]
 * @property {Record<string, any>} [setup]
 * @property {string} [model]
 * @property {string} [profile]
 * @property {{id: string, heartbeat_seconds?: number}} [session]
 * @property {Record<string, any>} [limits]
 */
/** @typedef {'same-origin' | 'omit'} Credentials */
/** @typedef {{url: string, headers: Record<string, string>, body: string, credentials: Credentials}} TokenRequest */
/** @typedef {{request: TokenRequest} | {answer: TokenAnswer}} TokenPlan */
/** @template T @typedef {T | (() => T | Promise<T>)} Given */

export class TokenSource {
  #describe;
  /** @type {Promise<TokenPlan> | null} */
  #pending = null;

  /** @param {(options: {signal: AbortSignal}) => TokenPlan | Promise<TokenPlan>} describe */
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

  /** @param {(options: {signal: AbortSignal}) => TokenAnswer | Promise<TokenAnswer>} fetchAnswer */
  static custom(fetchAnswer) {
    return new TokenSource(async (options) => ({ answer: await fetchAnswer(options) }));
  }

  /**
   * How to get the next token; one at a time, whoever asks.
   * @param {{signal: AbortSignal}} options
   * @returns {Promise<TokenPlan>}
   */
  async describe(options) {
    this.#pending ??= Promise.resolve(this.#describe(options)).finally(() => (this.#pending = null));
    try {
      return await this.#pending;
    } catch (cause) {
      throw LiveError.from(cause, 'token-refused');
    }
  }
}

/**
 * Asks the broker. @param {TokenRequest} request @param {AbortSignal} signal
 * @returns {Promise<TokenAnswer>}
 */
export async function requestToken({ url, headers, body, credentials }, signal) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body,
    credentials,
    cache: 'no-store',
    redirect: 'error',
    signal,
  }).catch((cause) => {
    if (signal.aborted) throw LiveError.aborted();
    throw unreachable(cause);
  });
  const answer = await response.json().catch(() => null);
  if (signal.aborted) throw LiveError.aborted();
  if (!response.ok) throw LiveError.tokenRefused(response.status, answer, response.headers.get('Retry-After'));
  if (typeof answer?.token !== 'string' || typeof answer.url !== 'string') {
    throw new LiveError({ reason: 'token-refused', detail: 'The broker’s answer holds no token.' });
  }
  return answer;
}

/** @param {unknown} cause */
function unreachable(cause) {
  const error = new LiveError({
    reason: 'network',
    detail: 'The broker could not be reached.',
    hint: 'Check the network, then try again.',
  });
  error.cause = cause;
  return error;
}

/**
 * @template T
 * @param {Given<T>} value
 * @returns {T | Promise<T>}
 */
function given(value) {
  return typeof value === 'function' ? /** @type {() => T | Promise<T>} */ (value)() : value;
}
