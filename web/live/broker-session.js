/**
 * The broker's side of a session: heartbeats and the end. Owns: the two routes beside the token route.
 * Needs errors.js. Heartbeats run where the network runs; the end is posted from the page, which may be leaving.
 */
import { LiveError } from './errors.js';

/** @typedef {Pick<import('./token-source.js').TokenRequest, 'url' | 'headers' | 'credentials'>} Access */

export class BrokerSession {
  #access;
  #id;

  /**
   * @param {Access} access how the token was asked for: the same identity keeps and ends the session
   * @param {string} id
   */
  constructor(access, id) {
    this.#access = access;
    this.#id = id;
  }

  /**
   * Says that the session lives. Throws when the broker ended it; keeps quiet when the broker is away for a while,
   * because the conversation does not pass through it.
   */
  async heartbeat() {
    const response = await this.#post('heartbeat').catch(() => null);
    if (!response) return;
    const answer = await response.json().catch(() => null);
    const ended = answer?.state === 'ended' || answer?.code === 'session-ended';
    if (!ended) return;
    throw new LiveError({
      reason: 'session-ended',
      detail: answer.message || answer.detail || 'The session was ended.',
      code: answer.code,
      status: response.status,
    });
  }

  /** Gives the session back; survives the page. Failing is fine, for the lease runs out by itself. */
  async end() {
    await this.#post('end').catch(() => null);
  }

  /** @param {'heartbeat' | 'end'} verb */
  #post(verb) {
    const { url, headers, credentials } = this.#access;
    return fetch(new URL(`sessions/${encodeURIComponent(this.#id)}/${verb}`, url), {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: '{}',
      credentials,
      cache: 'no-store',
      redirect: 'error',
      keepalive: verb === 'end',
    });
  }
}
