/**
 * One line to the service out of connections that end: tokens, handovers, recovery, signs of life.
 *
 * Owns: the socket, the handle, the session's times. Needs live-socket.js, token-source.js, broker-session.js,
 * reconnect-policy.js. Leaves what is said on it to net-core.js, which hears when it is up and when it is not.
 *
 * A connection lives some ten minutes, a token fifteen. Before either ends, the next token is fetched, the old socket is
 * closed (Google refuses a handle while its session is open) and the next one takes the conversation up by its handle,
 * at a moment when nobody is in the middle of anything, if there is one.
 */
import { encodeBase64 } from './base64.js';
import { BrokerSession, ENDED } from './broker-session.js';
import { epochNow } from './clock.js';
import { LiveError } from './errors.js';
import { connect } from './live-socket.js';
import { CHUNK_SAMPLES } from './pcm.js';
import { audioFrame } from './protocol.js';
import { actionFor, nextStep, renewalDelayMs } from './reconnect-policy.js';
import { requestToken, termsOf } from './token-source.js';

/** @typedef {import('./live-socket.js').LiveSocket} LiveSocket */
/** @typedef {import('./token-source.js').TokenAnswer} TokenAnswer */
/**
 * @typedef {object} Surroundings
 * @property {(what: 'plan' | 'seed' | 'report', detail?: object) => Promise<any>} ask the page
 * @property {(report: import('./net-core.js').NetReport) => void} tell the page
 * @property {(message: Record<string, any>) => void} receive
 * @property {() => boolean} calm nobody is in the middle of anything
 * @property {(answer: TokenAnswer) => void} granted the first token
 * @property {(resumed: boolean) => void} up
 * @property {() => void} down
 * @property {(error: LiveError) => void} over for good, and why
 */

const TICK_MS = 250;
/** Google drops a client that says nothing for some 150 s, muted or only listening. */
const KEEPALIVE_MS = 30_000;
const REPORT_MS = 60_000;
/** A connection that lasted so long was a good one: what broke it counts as something new. */
const STEADY_MS = 5000;
/** Before the end of a session the app is warned once more; it ends itself before Google cuts it off. */
const WARNING_MS = 60_000;
const END_MARGIN_MS = 2000;
/** How long before its end a connection is left at the latest; a total lock wants its token fetched last. */
const LEAVE_MARGIN_MS = 1000;
const FETCH_MARGIN_MS = 5000;
const CLOSING_MS = 1000;
/** Offline may be a mistake of the browser's: tried now and then anyway. */
const OFFLINE_RETRY_MS = 30_000;
/**
 * How long the service may owe us any frame at all. Most answer input with a resumption update each second, so 20 s of
 * nothing are a dead line (answers to pings were seen 8 to 30 s late, and a mistake costs a third of a second). One
 * that never sends updates owes something only to speech or text. After a change of network the line is suspect.
 */
const PATIENCE_MS = { updates: 20_000, none: 60_000, suspect: 5000 };
const SILENCE = audioFrame(encodeBase64(new Uint8Array(CHUNK_SAMPLES * 2)));

export class Line {
  #out;
  #stopped = false;
  /** Set up, and the one in use. @type {LiveSocket | null} */
  #socket = null;
  /** Ends the attempt that is under way. */
  #dialing = new AbortController();
  /** @type {BrokerSession | null} */
  #lease = null;
  /** Settles when nothing of the start is under way any more. @type {Promise<void>} */
  #started = Promise.resolve();
  #terms = termsOf(/** @type {any} */ ({}), 0);
  /** The newest resumable handle, and whether it is as new as what was said. */
  #handle = '';
  #fresh = true;
  /** The broker lets the client name the handle; else it is in the token, which is then as old as the token. */
  #ownHandle = true;
  /** @type {import('./reconnect-policy.js').Outage} */
  #outage = { attempt: 0, refused: 0 };
  #upSince = 0;
  /** When this connection is to be left, at the latest. */
  #leaveBy = Infinity;
  /** The next token, asked for beforehand. @type {{answer: TokenAnswer | null, connectBy: number} | null} */
  #next = null;
  #nextAt = 0;
  #nextFailures = 0;
  /** Why there will be no other token. @type {LiveError | null} */
  #lastToken = null;
  #warned = false;
  #beatMs = Infinity;
  #due = { beat: Infinity, report: Infinity };
  #sentAt = 0;
  /** Since when the service owes us a frame; 0: it does not. */
  #owedSince = 0;
  #updates = 0;
  #patience = 1;
  #suspect = false;
  /** It has owed us a frame for half as long as it may. */
  silent = false;
  online = true;
  #wake = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pausing;
  /** @type {ReturnType<typeof setInterval>} */
  #ticking;

  /** @param {Surroundings} out */
  constructor(out) {
    this.#out = out;
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
  }

  get up() {
    return this.#socket !== null;
  }

  get bufferedBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @param {import('./token-source.js').TokenPlan} plan @returns {Promise<void>} rejects with a LiveError */
  start(plan) {
    return (this.#started = this.#begin(plan));
  }

  /** @param {import('./token-source.js').TokenPlan} plan */
  async #begin(plan) {
    const answer = 'answer' in plan ? plan.answer : await requestToken(plan.request);
    const { session } = answer;
    if ('request' in plan && session) this.#lease = new BrokerSession(plan.request, session.id);
    // The page that ended it meanwhile could not know that there is something to give back.
    if (this.#stopped) return this.#lease?.end();
    this.#out.granted(answer);
    if (this.#lease && session?.heartbeat_seconds) this.#beatMs = session.heartbeat_seconds * 1000;
    this.#due = { beat: epochNow() + this.#beatMs, report: this.#lease ? epochNow() + REPORT_MS : Infinity };
    await this.#open(answer);
    this.#out.tell({ type: 'ready', at: epochNow() });
  }

  /** @param {string} frame @param {boolean} owes whether it brings an answer, whatever the service is like */
  send(frame, owes) {
    this.#sentAt = epochNow();
    if (owes || this.#updates > 1) this.#owedSince ||= this.#sentAt;
    this.#socket?.sendFrame(frame);
  }

  /** A server frame's facts about the line itself. @param {import('./protocol.js').ServerFact} fact */
  heed(fact) {
    if (fact.type === 'goAway') this.#leave(epochNow() + fact.timeLeftSeconds * 1000 - LEAVE_MARGIN_MS);
    else if (fact.type === 'resumption') {
      this.#updates += 1;
      this.#fresh = fact.handle !== null;
      this.#handle = fact.handle ?? this.#handle;
    }
  }

  /** @param {boolean} online */
  setOnline(online) {
    this.online = online;
    if (online) {
      this.#outage.attempt = 0;
      this.#wake();
      // The line may have stayed behind in another network: a sign of life shows it.
      this.#suspect = this.up;
      if (this.up) this.send(SILENCE, false);
    } else {
      clearTimeout(this.#pausing);
      this.#pausing = setTimeout(this.#wake, OFFLINE_RETRY_MS);
    }
  }

  /** @param {boolean} leased whether the page gives the session back @returns {Promise<unknown>} when nothing is left to do */
  async stop(leased) {
    this.#stopped = true;
    clearInterval(this.#ticking);
    clearTimeout(this.#pausing);
    this.#wake();
    this.#dialing.abort();
    this.#socket?.close();
    const known = this.#lease !== null;
    await this.#started.catch(() => {});
    if (known && !leased) await this.#lease?.end();
  }

  /** @param {TokenAnswer} answer */
  async #open(answer) {
    const handle = this.#handle;
    const again = this.#upSince > 0;
    const seed = again && !handle ? this.#out.ask('seed').catch(() => []) : null;
    const { signal } = (this.#dialing = new AbortController());
    const setup = handle ? { ...answer.setup, sessionResumption: { handle } } : answer.setup;
    this.#updates = this.#owedSince = 0;
    let failed = /** @type {LiveError | null} */ (null);
    let socket = /** @type {LiveSocket | null} */ (null);
    const callbacks = {
      onopen: () => this.#out.tell({ type: 'opened', at: epochNow() }),
      onmessage: (/** @type {Record<string, any>} */ message) => {
        if (signal.aborted) return;
        this.#owedSince = 0;
        this.#suspect = this.silent = false;
        this.#out.receive(message);
      },
      onerror: (/** @type {LiveError} */ error) => (failed = error),
      onclose: (/** @type {{code: number, reason: string}} */ { code, reason }) => {
        failed = LiveError.closed(code, reason, true);
        if (socket && socket === this.#socket) this.#lost(failed);
      },
    };
    const { token, url, auth } = answer;
    socket = await connect({ token, url, auth, setup, signal, callbacks }).catch((cause) => {
      throw cause instanceof LiveError ? cause : (failed ?? cause);
    });
    const turns = (await seed) ?? [];
    if (failed) throw failed; // while the page looked for what was said
    if (turns.length > 0) {
      socket.sendClientContent({ turns, turnComplete: !!setup?.historyConfig?.initialHistoryInClientContent });
    }
    const now = epochNow();
    this.#socket = socket;
    this.#upSince = this.#sentAt = now;
    this.#leaveBy = Infinity;
    this.#fresh = true;
    this.#ownHandle = 'sessionResumption' in (answer.setup ?? {});
    this.#terms = termsOf(answer, now);
    this.#tellTime(now);
    this.#out.up(handle !== '');
  }

  /** @param {object} [wish] */
  async #token(wish) {
    const plan = await this.#out.ask('plan', { handle: this.#handle, ...wish });
    if ('answer' in plan) return plan.answer;
    if (!this.#lease) return requestToken(plan.request);
    this.#lease.access = plan.request;
    return requestToken(this.#lease.next(this.#handle));
  }

  /** The line broke. @param {LiveError} error */
  #lost(error) {
    const began = epochNow();
    if (began - this.#upSince > STEADY_MS) this.#outage = { attempt: 0, refused: 0 };
    this.#hangUp();
    void this.#replace(error, 'open', began);
  }

  /** At a good moment, with the next token at hand. */
  async #handOver() {
    const began = epochNow();
    const old = this.#hangUp();
    this.#outage = { attempt: 1, refused: 0 };
    await Promise.race([old?.closed, new Promise((resolve) => setTimeout(resolve, CLOSING_MS))]);
    await this.#replace(null, 'resuming', began);
  }

  #hangUp() {
    const socket = this.#socket;
    this.#dialing.abort();
    this.#socket = null;
    this.silent = false;
    this.#out.down();
    socket?.close();
    return socket;
  }

  /**
   * @param {LiveError | null} error null when the old connection was left as planned
   * @param {import('./reconnect-policy.js').Phase} phase
   * @param {number} began epoch milliseconds
   */
  async #replace(error, phase, began) {
    const planned = !error;
    while (!this.#stopped) {
      if (error) {
        const step = nextStep(error, phase, this.#outage);
        if (step.stop) return this.#out.over(asEnd(error));
        if (step.seed) this.#handle = '';
        this.#outage = this.online ? step : { ...step, attempt: 0 };
        this.#out.tell({ type: 'reconnecting', attempt: step.attempt, delayMs: step.delayMs, reason: error.detail });
        await this.#pause(step.delayMs);
        if (this.#stopped) return;
      }
      const resumed = this.#handle !== '';
      phase = resumed ? 'resuming' : 'opening';
      try {
        await this.#open(this.#takeNext() ?? (await this.#token()));
        const gapMs = Math.round(epochNow() - began);
        return this.#out.tell({ type: 'reconnected', resumed, seeded: !resumed, planned, gapMs });
      } catch (cause) {
        error = LiveError.from(cause, 'connection-lost');
      }
    }
  }

  /** @param {number} delayMs */
  #pause(delayMs) {
    return new Promise((resolve) => {
      this.#wake = () => resolve(null);
      this.#pausing = setTimeout(this.#wake, this.online ? delayMs : OFFLINE_RETRY_MS);
    });
  }

  /** @param {number} by epoch milliseconds */
  #leave(by) {
    this.#leaveBy = Math.min(this.#leaveBy, by);
  }

  #tick() {
    const now = epochNow();
    const { endsAt, expiresAt, renewAt } = this.#terms;
    if (now >= endsAt - END_MARGIN_MS) return this.#out.over(LiveError.ended(this.#lastToken?.detail));
    if (now >= endsAt - WARNING_MS && !this.#warned) {
      this.#warned = true;
      this.#tellTime();
    }
    if (now >= this.#due.beat) void this.#beat(now);
    if (now >= this.#due.report) void this.#report(now);
    if (!this.up) return;
    if (now - this.#sentAt >= KEEPALIVE_MS) this.send(SILENCE, false);
    if (this.#isDead(now)) return this.#lost(LiveError.closed(1006, 'no sign of life', true));
    if (now >= renewAt) this.#leave(expiresAt - FETCH_MARGIN_MS);
    if (this.#leaveBy < Infinity && !this.#lastToken) this.#prepareToLeave(now);
  }

  /** @param {number} now */
  #isDead(now) {
    if (!this.#owedSince) return false;
    const usual = this.#updates > 1 ? PATIENCE_MS.updates : PATIENCE_MS.none;
    const patience = this.#suspect ? PATIENCE_MS.suspect : usual * this.#patience;
    const owed = now - this.#owedSince;
    this.silent = owed > patience / 2;
    if (owed <= patience) return false;
    this.#patience *= 2; // where silence is the habit, not a fault
    this.#suspect = false;
    return true;
  }

  /** @param {number} now */
  #prepareToLeave(now) {
    const good = this.#fresh && this.#out.calm();
    const last = now >= this.#leaveBy;
    const ready = this.#next?.answer;
    if (this.#next && ready && (now > this.#next.connectBy || (!this.#ownHandle && !good && !last))) this.#next = null;
    else if (ready && (good || last)) void this.#handOver();
    else if (!this.#next && now >= this.#nextAt && (this.#ownHandle || good || now >= this.#leaveBy - FETCH_MARGIN_MS)) {
      void this.#fetchNext();
    } else if (!this.#fresh && now - this.#sentAt > CLOSING_MS && this.#out.calm()) {
      this.send(SILENCE, false); // a handle comes in reaction to something only
    }
  }

  /** The broker may be away; the conversation goes on without it until the slice ends. */
  async #fetchNext() {
    const next = (this.#next = { answer: /** @type {TokenAnswer | null} */ (null), connectBy: Infinity });
    try {
      const answer = await this.#token();
      next.answer = answer;
      next.connectBy = termsOf(answer, epochNow()).connectBy - LEAVE_MARGIN_MS;
      this.#nextFailures = 0;
    } catch (cause) {
      const error = LiveError.from(cause, 'network');
      this.#next = null;
      this.#nextAt = epochNow() + renewalDelayMs(error, this.#nextFailures++);
      if (actionFor(error, 'open') === 'stop') this.#endWithSlice(error);
    }
  }

  #takeNext() {
    const next = this.#next;
    this.#next = null;
    return next && epochNow() <= next.connectBy ? next.answer : null;
  }

  /** There will be no other token: the conversation lasts as long as this one. @param {LiveError} error */
  #endWithSlice(error) {
    this.#lastToken = error;
    this.#terms.endsAt = Math.min(this.#terms.endsAt, this.#terms.expiresAt);
    this.#tellTime();
  }

  /** @param {number} [renewedAt] */
  #tellTime(renewedAt) {
    const { endsAt } = this.#terms;
    this.#out.tell({ type: 'clock', endsAt, remainingMs: endsAt - epochNow(), renewedAt: renewedAt ?? this.#upSince });
  }

  /** @param {number} now */
  async #beat(now) {
    this.#due.beat = now + this.#beatMs;
    try {
      const status = await this.#lease?.heartbeat();
      if (status !== 401 || !this.#lease) return;
      const plan = await this.#out.ask('plan', {});
      if ('request' in plan) this.#lease.access = plan.request;
    } catch (cause) {
      if (cause instanceof LiveError && cause.reason === 'session-ended') this.#out.over(cause);
    }
  }

  /** @param {number} now */
  async #report(now) {
    this.#due.report = now + REPORT_MS;
    const figures = await this.#out.ask('report').catch(() => null);
    if (figures) await this.#lease?.report(figures);
  }
}

/** What the broker ended is an end, not a fault. @param {LiveError} error */
const asEnd = (error) => (ENDED.has(error.code ?? '') ? LiveError.ended(error.detail, error.toJSON()) : error);
