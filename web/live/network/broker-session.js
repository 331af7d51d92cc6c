/**
 * The broker's side of a session: the next token's request, heartbeats, the report and the end. Owns: the routes beside
 * the token route. Needs errors.js. All run where the network runs, but for the end: the page may be leaving.
 */
import { LiveError } from '../shared/errors.js';

/** @typedef {import('./token-source.js').TokenRequest} TokenRequest */
/** @typedef {Pick<TokenRequest, 'url' | 'headers' | 'credentials'>} Access */

/** The broker answers within ten. */
const TIMEOUT_MS = 15_000;

export class BrokerSession {

  /**
   * @param {Access} access how the token was asked for: the same identity keeps and ends the session. Replaced when
   *   the page has newer headers
   * @param {string} id
   */
  constructor(access, id) {
    this.access = access;
    this.id = id;
  }

  /** How to ask for the next token. @param {string} handle of the resumption, or nothing @returns {TokenRequest} */
  next(handle) {
    return { ...this.access, url: this.#url('token'), body: JSON.stringify(handle ? { handle } : {}) };
  }

  /**
   * Says that the session lives; the status, 0 when the broker is away, which does not matter because the conversation
   * does not pass through it. Throws when the session was ended.
   */
  async heartbeat() {
    const response = await this.#post('heartbeat').catch(() => null);
    if (!response) return 0;
    const answer = await response.json().catch(() => null);
    if (answer?.state === 'ended' || ENDED.has(answer?.code)) {
      throw LiveError.ended(answer.message || answer.detail || 'The session was ended.', {
        code: answer.code,
        status: response.status,
      });
    }
    return response.status;
  }

  /** @param {Record<string, number>} figures */
  async report(figures) {
    await this.#post('report', figures).catch(() => null);
  }

  /** Gives the session back; survives the page. Failing is fine, for the lease runs out by itself. */
  async end() {
    await this.#post('end').catch(() => null);
  }

  /** @param {string} verb */
  #url(verb) {
    return new URL(`sessions/${encodeURIComponent(this.id)}/${verb}`, this.access.url).href;
  }

  /** @param {'heartbeat' | 'report' | 'end'} verb @param {object} [body] */
  #post(verb, body = {}) {
    const { headers, credentials } = this.access;
    return fetch(this.#url(verb), {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      credentials,
      cache: 'no-store',
      redirect: 'error',
      keepalive: verb !== 'heartbeat',
      signal: verb === 'heartbeat' ? AbortSignal.timeout(TIMEOUT_MS) : undefined,
    });
  }
}

/** Codes that end a session, whatever the route. */
export const ENDED = new Set(['session-ended', 'account-blocked', 'minutes-exhausted']);
