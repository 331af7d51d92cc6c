/**
 * The broker's routes for one session: next token, heartbeat, report and end.
 * The network uses them all. The page uses report and end too, because it may be closing.
 */
import { LiveError } from '../shared/errors.js';
import { ENDING_CODES, postToBroker } from './broker-request.js';

/** @typedef {import('./token-source.js').TokenRequest} TokenRequest */

const END_RETRY_MS = 1000;

export class BrokerSession {
  /**
   * @param {Pick<TokenRequest, 'url' | 'headers' | 'credentials'>} access of the token's request: the same identity
   *   keeps and ends the session. The page replaces it when it has newer headers
   * @param {string} id
   */
  constructor(access, id) {
    this.access = access;
    this.id = id;
  }

  /** The request for the next token. @param {string} handle for the resumption, or '' @returns {TokenRequest} */
  nextTokenRequest(handle) {
    return this.#request('token', handle ? { handle } : {});
  }

  /**
   * Reports that the session is alive. Returns the status, or 0 when the broker is away, which does no harm, because the
   * conversation does not pass through the broker; and the operators' message, or ''. Throws when the session has ended.
   */
  async heartbeat() {
    const response = await postToBroker(this.#request('heartbeat')).catch(() => null);
    if (!response) return { status: 0, message: '' };
    const answer = await response.json().catch(() => null);
    if (answer?.state === 'ended' || ENDING_CODES.has(answer?.code)) {
      throw LiveError.ended(answer.message || answer.detail || 'The session has ended.', {
        code: answer.code,
        status: response.status,
      });
    }
    const message = response.ok && typeof answer?.message === 'string' ? answer.message : '';
    return { status: response.status, message };
  }

  /** @param {Record<string, number>} figures */
  async report(figures) {
    await postToBroker(this.#request('report', figures), true).catch(() => null);
  }

  /**
   * Ends the session, even while the page closes. Tries twice. Returns whether the broker knows: otherwise the session
   * counts until it expires by itself.
   */
  async end() {
    for (let tries = 0; tries < 2; tries++) {
      if (tries) await new Promise((resolve) => setTimeout(resolve, END_RETRY_MS));
      const response = await postToBroker(this.#request('end'), true).catch(() => null);
      if (response?.ok || response?.status === 404) return true;
    }
    return false;
  }

  /** @param {string} verb @param {object} [body] @returns {TokenRequest} */
  #request(verb, body = {}) {
    const url = new URL(`sessions/${encodeURIComponent(this.id)}/${verb}`, this.access.url).href;
    return { ...this.access, url, body: JSON.stringify(body) };
  }
}
