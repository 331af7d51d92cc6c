/**
 * TokenSource: the app's way to get tokens. Describes the next token.
 *
 * An endpoint describes a request, which the network worker then makes, so that the page never holds the token. The
 * other two kinds return an answer that the app has or makes itself. Leaves the request to broker-request.js.
 */
import { LiveError } from '../shared/errors.js';
import { Intent } from './intent.js';

/**
 * The fields of the broker's answer to `POST /token` that this library reads. `expires_at`, `session.ends_at` and
 * `session.renew_after` are times by the broker's clock: only their differences are used.
 * @typedef {object} TokenAnswer
 * @property {string} token
 * @property {string} url
 * @property {{in: string, name: string}} [auth]
 * @property {Record<string, any>} [setup]
 * @property {string} [model]
 * @property {string} [profile]
 * @property {string} [expires_at]
 * @property {number} [expires_in] seconds
 * @property {number} [connect_within] seconds
 * @property {{id: string, ends_at?: string, renew_after?: string, heartbeat_seconds?: number}} [session]
 * @property {Record<string, any>} [limits]
 * @property {string[]} [locked]
 */
/** @typedef {'same-origin' | 'omit'} Credentials */
/** @typedef {{url: string, headers: Record<string, string>, body: string, credentials: Credentials}} TokenRequest */
/** `key`: see intent.js. @typedef {{request: TokenRequest, key?: string} | {answer: TokenAnswer}} TokenPlan */
/**
 * The argument of a custom source. For later tokens it names the broker's session and the resumption handle.
 * @typedef {{signal: AbortSignal, session?: string, handle?: string}} TokenContext
 */
/** @template T @typedef {T | (() => T | Promise<T>)} ValueOrFunction */

export class TokenSource {
  #describe;
  intent = new Intent();
  /** @type {Promise<TokenPlan> | null} */
  #pending = null;

  /** @param {(context: TokenContext) => TokenPlan | Promise<TokenPlan>} describe */
  constructor(describe) {
    this.#describe = describe;
  }

  /**
   * The broker's token route.
   * @param {string | URL} url
   * @param {{headers?: ValueOrFunction<Record<string, string>>, body?: ValueOrFunction<object>,
   *   credentials?: Credentials}} [options]
   */
  static endpoint(url, { headers = {}, body = {}, credentials = 'same-origin' } = {}) {
    const base = globalThis.location?.href;
    return new TokenSource(async () => {
      const [extra, fields] = await Promise.all([resolveOption(headers), resolveOption(body)]);
      return {
        request: { url: new URL(url, base).href, headers: extra, body: JSON.stringify(fields), credentials },
      };
    });
  }

  /** An answer that the app has already. It is valid for one connection. @param {TokenAnswer} answer */
  static literal(answer) {
    return new TokenSource(() => ({ answer }));
  }

  /** @param {(context: TokenContext) => TokenAnswer | Promise<TokenAnswer>} fetchAnswer */
  static custom(fetchAnswer) {
    return new TokenSource(async (context) => ({ answer: await fetchAnswer(context) }));
  }

  /**
   * Describes the next token. Simultaneous callers share one request.
   * @param {TokenContext} context
   * @returns {Promise<TokenPlan>}
   */
  async describe(context) {
    this.#pending ??= Promise.resolve(this.#describe(context)).finally(() => {
      this.#pending = null;
    });
    try {
      return await this.#pending;
    } catch (cause) {
      throw LiveError.from(cause, 'token-refused');
    }
  }
}

/**
 * @template T
 * @param {ValueOrFunction<T>} value
 * @returns {T | Promise<T>}
 */
function resolveOption(value) {
  return typeof value === 'function' ? /** @type {() => T | Promise<T>} */ (value)() : value;
}
