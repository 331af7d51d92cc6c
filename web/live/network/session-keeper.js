/**
 * The broker's session while the line is up or down: signs of life, reports, the next token's request, the end.
 *
 * Owns: when each is due, and the times of session and slice on our clock. Needs broker-session.js, token-source.js.
 * Leaves connections to resilient-connection.js, which asks once every tick.
 */
import { BrokerSession } from './broker-session.js';
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { requestToken, termsOf } from './token-source.js';

/** @typedef {import('./token-source.js').TokenAnswer} TokenAnswer */
/** @typedef {import('./resilient-connection.js').Surroundings} Surroundings */

const REPORT_MS = 60_000;
/** Before the end of a session the app is warned once more; it ends itself before Google cuts it off. */
const WARNING_MS = 60_000;
const END_MARGIN_MS = 2000;
const SIGNED_OUT = { detail: 'The sign-in is no longer valid.', hint: 'Sign in again.' };

export class SessionKeeper {
  #out;
  /** @type {BrokerSession | null} */
  lease = null;
  terms = termsOf({ token: '', url: '' }, 0);
  /** Why there will be no other token. @type {LiveError | null} */
  lastToken = null;
  #renewedAt = 0;
  /** As the broker told, whatever has come between. */
  #endsAt = Infinity;
  #warned = false;
  #beatMs = Infinity;
  #beatAt = Infinity;
  #reportAt = Infinity;

  /** @param {Surroundings} out */
  constructor(out) {
    this.#out = out;
  }

  /** @param {import('./token-source.js').TokenPlan} plan @returns {Promise<TokenAnswer>} the first token */
  async begin(plan) {
    if ('answer' in plan) return plan.answer;
    const answer = await requestToken(plan.request);
    const { session } = answer;
    if (!session) return answer;
    this.lease = new BrokerSession(plan.request, session.id);
    this.#beatMs = (session.heartbeat_seconds ?? Infinity) * 1000;
    this.#beatAt = epochNow() + this.#beatMs;
    this.#reportAt = epochNow() + REPORT_MS;
    return answer;
  }

  /** Another token of the session. @param {string} handle @returns {Promise<TokenAnswer>} */
  async next(handle) {
    const plan = await this.#out.ask('plan', { session: this.lease?.id, handle });
    if ('answer' in plan) return plan.answer;
    if (!this.lease) return requestToken(plan.request);
    this.lease.access = plan.request;
    return requestToken(this.lease.next(handle));
  }

  /** A token is in use. @param {TokenAnswer} answer @param {number} now */
  renewed(answer, now) {
    this.terms = termsOf(answer, now);
    this.#endsAt = this.terms.endsAt;
    this.#renewedAt = now;
    this.#tell(now);
  }

  /** There will be no other token: the conversation lasts as long as this one. @param {LiveError} error */
  endWithSlice(error) {
    this.lastToken = error;
    this.terms.endsAt = Math.min(this.terms.endsAt, this.terms.expiresAt);
    this.#tell(epochNow());
  }

  /** @param {number} now @returns {boolean} whether the session's time is up, which is told then */
  tick(now) {
    const { endsAt } = this.terms;
    if (now >= endsAt - END_MARGIN_MS) {
      this.#out.over(LiveError.ended(this.lastToken?.detail));
      return true;
    }
    if (now >= endsAt - WARNING_MS && !this.#warned) {
      this.#warned = true;
      this.#tell(now);
    }
    if (now >= this.#beatAt) void this.#beat(now);
    if (now >= this.#reportAt) void this.#report(now);
    return false;
  }

  /** @param {number} now */
  #tell(now) {
    const { endsAt } = this.terms;
    this.#out.tell({ type: 'clock', endsAt, remainingMs: Math.round(endsAt - now), renewedAt: this.#renewedAt });
  }

  /** @param {number} now */
  async #beat(now) {
    this.#beatAt = now + this.#beatMs;
    try {
      let status = await this.lease?.heartbeat();
      if (status === 401) {
        // The app's sign-in may have been renewed; ours is not.
        const plan = await this.#out.ask('plan');
        if (this.lease && 'request' in plan) this.lease.access = plan.request;
        status = await this.lease?.heartbeat();
      }
      if (status === 401) this.endWithSlice(LiveError.tokenRefused(401, SIGNED_OUT, null));
      else if (status && this.lastToken?.status === 401) this.#signedInAgain();
    } catch (cause) {
      const error = LiveError.from(cause, 'network');
      if (error.reason === 'session-ended') this.#out.over(error);
    }
  }

  #signedInAgain() {
    this.lastToken = null;
    this.terms.endsAt = this.#endsAt;
    this.#tell(epochNow());
  }

  /** @param {number} now */
  async #report(now) {
    this.#reportAt = now + REPORT_MS;
    const figures = await this.#out.ask('report').catch(() => null);
    if (figures) await this.lease?.report(figures);
  }
}
