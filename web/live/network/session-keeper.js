/**
 * Keeps the broker's session alive: heartbeats, reports, the next token, and the end of the session's time.
 * Works whether a connection is up or down. Leaves connections to resilient-connection.js, which calls `tick()`.
 */
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { requestToken, timesOf } from './broker-request.js';
import { BrokerSession } from './broker-session.js';

/** @typedef {import('./token-source.js').TokenAnswer} TokenAnswer */
/**
 * @typedef {object} KeeperHost
 * @property {(what: import('./messages.js').Question, detail?: object) => Promise<any>} ask the page
 * @property {(report: import('./messages.js').NetworkReport) => void} report to the page
 * @property {(error: LiveError) => void} ended for good, and why
 */

const REPORT_MS = 60_000;
/** The app is warned once before the end of the session. */
const WARNING_MS = 60_000;
/** The session ends itself before Google cuts it off. */
const END_MARGIN_MS = 2000;
/** So many heartbeats in a row may fail: a broker restarts now and then. */
const MAX_MISSED = 3;
const SIGNED_OUT = { detail: 'The sign-in is no longer valid.', hint: 'Sign in again.' };

export class SessionKeeper {
  #host;
  /** @type {BrokerSession | null} */
  brokerSession = null;
  times = timesOf({ token: '', url: '' }, 0);
  /** Why there will be no other token. @type {LiveError | null} */
  renewalError = null;
  #renewedAt = 0;
  /** The end by the broker's answer, without any later restriction. */
  #endsAt = Infinity;
  #warned = false;
  #message = '';
  #missed = 0;
  #heartbeatMs = Infinity;
  #heartbeatAt = Infinity;
  #reportAt = Infinity;

  /** @param {KeeperHost} host */
  constructor(host) {
    this.#host = host;
  }

  /** @param {import('./token-source.js').TokenPlan} plan @returns {Promise<TokenAnswer>} the first token */
  async start(plan) {
    if ('answer' in plan) return plan.answer;
    const answer = await requestToken(plan.request, plan.key);
    const { session } = answer;
    if (!session) return answer;
    this.brokerSession = new BrokerSession(plan.request, session.id);
    this.#heartbeatMs = (session.heartbeat_seconds ?? Infinity) * 1000;
    this.#heartbeatAt = epochNow() + this.#heartbeatMs;
    this.#reportAt = epochNow() + REPORT_MS;
    return answer;
  }

  /** Another token of the session. @param {string} handle @returns {Promise<TokenAnswer>} */
  async nextToken(handle) {
    const plan = await this.#host.ask('plan', { session: this.brokerSession?.id, handle });
    if ('answer' in plan) return plan.answer;
    if (!this.brokerSession) return requestToken(plan.request);
    this.brokerSession.access = plan.request;
    return requestToken(this.brokerSession.nextTokenRequest(handle));
  }

  /** A token is in use. @param {TokenAnswer} answer @param {number} now */
  inUse(answer, now) {
    this.times = timesOf(answer, now);
    this.#endsAt = this.times.endsAt;
    this.#renewedAt = now;
    this.#reportClock(now);
  }

  /** There will be no other token: the conversation lasts as long as this one. @param {LiveError} error */
  endWithToken(error) {
    this.renewalError = error;
    this.times.endsAt = Math.min(this.times.endsAt, this.times.expiresAt);
    this.#reportClock(epochNow());
  }

  /** @param {number} now @returns {boolean} whether the session's time is up; then it has reported the end */
  tick(now) {
    const { endsAt } = this.times;
    if (now >= endsAt - END_MARGIN_MS) {
      this.#host.ended(LiveError.ended(this.renewalError?.detail));
      return true;
    }
    if (now >= endsAt - WARNING_MS && !this.#warned) {
      this.#warned = true;
      this.#reportClock(now);
    }
    if (now >= this.#heartbeatAt) void this.#heartbeat(now);
    if (now >= this.#reportAt) void this.#sendReport(now);
    return false;
  }

  /** @param {number} now */
  #reportClock(now) {
    const { endsAt } = this.times;
    this.#host.report({ type: 'clock', endsAt, remainingMs: Math.round(endsAt - now), renewedAt: this.#renewedAt });
  }

  /** @param {number} now */
  async #heartbeat(now) {
    this.#heartbeatAt = now + this.#heartbeatMs;
    try {
      let beat = await this.brokerSession?.heartbeat();
      if (beat?.status === 401) {
        // The app may have renewed its sign-in since.
        const plan = await this.#host.ask('plan');
        if (this.brokerSession && 'request' in plan) this.brokerSession.access = plan.request;
        beat = await this.brokerSession?.heartbeat();
      }
      if (!beat) return;
      const { status, message } = beat;
      if (message && message !== this.#message) this.#host.report({ type: 'notice', text: message });
      if (status < 300) this.#message = message;
      this.#countMissed(status);
      if (status === 401) this.endWithToken(LiveError.tokenRefused(401, SIGNED_OUT, null));
      else if (status && this.renewalError?.status === 401) this.#signedInAgain();
    } catch (cause) {
      const error = LiveError.from(cause, 'network');
      if (error.reason === 'session-ended') this.#host.ended(error);
    }
  }

  /** @param {number} status of a heartbeat */
  #countMissed(status) {
    this.#missed = status >= 200 && status < 300 ? 0 : this.#missed + 1;
    if (this.#missed === MAX_MISSED) this.#host.report({ type: 'warning', code: 'heartbeats-lost' });
  }

  #signedInAgain() {
    this.renewalError = null;
    this.times.endsAt = this.#endsAt;
    this.#reportClock(epochNow());
  }

  /** @param {number} now */
  async #sendReport(now) {
    this.#reportAt = now + REPORT_MS;
    const figures = await this.#host.ask('report').catch(() => null);
    if (figures) await this.brokerSession?.report(figures);
  }
}
