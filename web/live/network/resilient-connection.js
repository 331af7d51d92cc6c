/**
 * One line to the service out of connections that end: handovers and recovery.
 *
 * Owns: the socket in use, the handle, when to leave. Needs live-socket.js, session-keeper.js, reconnect-policy.js,
 * watchdog.js. Leaves what is said on it to network-session.js, which hears when it is up and when it is not.
 *
 * A connection lives some ten minutes, a token fifteen. Before either ends, the next token is fetched, the old socket is
 * closed (Google refuses a handle while its session is open) and the next one takes the conversation up by its handle,
 * at a moment when nobody is in the middle of anything, if there is one.
 */
import { encodeBase64 } from '../shared/base64.js';
import { ENDED } from './broker-session.js';
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { connect as ownConnect, LiveSocket } from './live-socket.js';
import { seedMessage } from '../shared/model-rules.js';
import { CHUNK_SAMPLES, INPUT_MIME } from '../shared/pcm.js';
import { actionFor, nextStep, renewalDelayMs } from './reconnect-policy.js';
import { SessionKeeper } from './session-keeper.js';
import { termsOf } from './token-source.js';
import { Watchdog } from './watchdog.js';

/**
 * What a conversation needs of a connection: a part of the official SDK's live session.
 * @typedef {Pick<LiveSocket, 'sendRealtimeInput' | 'sendClientContent' | 'sendToolResponse' | 'close'>
 *   & {bufferedAmount?: number}} Session
 */
/** Opens one; resolves after `setupComplete`. @typedef {(options: import('./live-socket.js').ConnectOptions) => Promise<Session>} Connect */
/** @typedef {import('./token-source.js').TokenAnswer} TokenAnswer */
/**
 * @typedef {object} Surroundings
 * @property {(what: 'plan' | 'seed' | 'report', detail?: object) => Promise<any>} ask the page
 * @property {(report: import('./network-session.js').NetworkReport) => void} tell the page
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
const SILENCE = { audio: { data: encodeBase64(new Uint8Array(CHUNK_SAMPLES * 2)), mimeType: INPUT_MIME } };
/** A message's one key, and what sends it. */
const VERBS = /** @type {const} */ ({
  realtimeInput: 'sendRealtimeInput',
  clientContent: 'sendClientContent',
  toolResponse: 'sendToolResponse',
});
/** A connection that lasted so long was a good one: what broke it counts as something new. */
const STEADY_MS = 2000;
/** How long before its end a connection is left at the latest; how long before that its successor's token is fetched. */
const LEAVE_MARGIN_MS = 1000;
const FETCH_MARGIN_MS = 5000;
const CLOSING_MS = 1000;
const NUDGE_MS = 1000;
/** Offline may be a mistake of the browser's: tried now and then anyway. */
const OFFLINE_RETRY_MS = 30_000;

export class ResilientConnection {
  #out;
  #keeper;
  #watchdog = new Watchdog();
  #stopped = false;
  #connect;
  /** Set up, and the one in use. @type {Session | null} */
  #session = null;
  /** Settles when the connection that was opened last is closed, whoever did it. @type {Promise<unknown>} */
  #closed = Promise.resolve();
  /** Ends the attempt that is under way. */
  #dialing = new AbortController();
  /** Settles when nothing of the start is under way any more. @type {Promise<unknown>} */
  #started = Promise.resolve();
  /** The newest resumable handle, and whether it knows all that was said. */
  #handle = '';
  #fresh = true;
  #nudged = false;
  /** There may be something that a new session has to be told. */
  #seeded = false;
  /** The broker lets the client name the handle; else it is in the token, which is then as old as the token. */
  #ownHandle = true;
  /** @type {import('./reconnect-policy.js').Outage} */
  #outage = { attempt: 0, refused: 0 };
  #upSince = 0;
  #sentAt = 0;
  /** When this connection is to be left, at the latest. */
  #leaveBy = Infinity;
  /** The next token, asked for beforehand. @type {{answer: TokenAnswer | null, connectBy: number} | null} */
  #next = null;
  #nextAt = 0;
  #nextFailures = 0;
  online = true;
  #wake = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pausing;
  #ticking = setInterval(() => this.#tick(), TICK_MS);

  /** @param {Surroundings} out @param {Connect} connect */
  constructor(out, connect = (options) => ownConnect(options, LiveSocket)) {
    this.#out = out;
    this.#connect = connect;
    this.#keeper = new SessionKeeper(out);
  }

  get up() {
    return this.#session !== null;
  }

  get silent() {
    return this.up && this.#watchdog.silent;
  }

  get bufferedBytes() {
    return this.#session?.bufferedAmount ?? 0;
  }

  /**
   * Rejects with a LiveError.
   * @param {import('./token-source.js').TokenPlan} plan
   * @param {boolean} [seeded] the page has something to tell the first session, too
   */
  async start(plan, seeded = false) {
    this.#seeded = seeded;
    const answer = await (this.#started = this.#keeper.begin(plan));
    // A page that ended it meanwhile could not know that there is something to give back.
    if (this.#stopped) return;
    this.#out.granted(answer);
    await this.#open(answer);
    this.#out.tell({ type: 'ready', at: epochNow() });
  }

  /**
   * @param {Record<string, any>} message with one key: `realtimeInput`, `clientContent` or `toolResponse`
   * @param {boolean} owes whether it brings an answer, whatever the service is like
   */
  send(message, owes) {
    this.#sentAt = epochNow();
    this.#watchdog.sent(this.#sentAt, owes);
    const [[key, content]] = /** @type {[keyof typeof VERBS, any][]} */ (Object.entries(message));
    this.#session?.[VERBS[key]](content);
  }

  /** A sign of life. */
  #breathe() {
    this.send({ realtimeInput: SILENCE }, false);
  }

  /** What a server frame says of the line itself. @param {import('../shared/protocol.js').ServerFact} fact */
  heed(fact) {
    if (fact.type === 'goAway') this.#leave(epochNow() + fact.timeLeftSeconds * 1000 - LEAVE_MARGIN_MS);
    else if (fact.type === 'resumption') {
      this.#watchdog.heard(true);
      this.#fresh = fact.handle !== null;
      this.#handle = fact.handle ?? this.#handle;
    }
  }

  /** Something was said that the handle does not know of. */
  outdate() {
    this.#fresh = this.#nudged = false;
  }

  /** @param {boolean} online */
  setOnline(online) {
    this.online = online;
    clearTimeout(this.#pausing);
    if (!online) this.#pausing = setTimeout(this.#wake, OFFLINE_RETRY_MS);
    else {
      this.#outage = { ...this.#outage, attempt: 0 };
      this.#wake();
      if (!this.up && this.#upSince) this.#dialing.abort(); // begun in another network
      this.#watchdog.suspect();
      if (this.up) this.#breathe(); // a sign of life wants another
    }
  }

  /** Resolves when nothing is left to do. @param {boolean} leased the page gives the session back itself */
  async stop(leased) {
    const { lease } = this.#keeper;
    this.#stopped = true;
    clearInterval(this.#ticking);
    clearTimeout(this.#pausing);
    this.#wake();
    this.#dialing.abort();
    this.#session?.close();
    await this.#started.catch(() => {}); // what was granted after the end is given back, too
    if (!lease || !leased) await this.#keeper.lease?.end();
  }

  /** @param {TokenAnswer} answer */
  async #open(answer) {
    const handle = this.#handle;
    const seed = this.#seeded && !handle ? this.#out.ask('seed').catch(() => []) : null;
    const { signal } = (this.#dialing = new AbortController());
    const { token, url, auth } = answer;
    const setup = handle ? { ...answer.setup, sessionResumption: { handle } } : answer.setup;
    this.#watchdog.reset();
    let failed = /** @type {LiveError | null} */ (null);
    let session = /** @type {Session | null} */ (null);
    let closed = () => {};
    this.#closed = new Promise((resolve) => (closed = () => resolve(null)));
    /** @type {import('./live-socket.js').LiveCallbacks} */
    const callbacks = {
      onopen: () => this.#out.tell({ type: 'opened', at: epochNow() }),
      onmessage: (message) => {
        if (signal.aborted) return;
        this.#watchdog.heard(false);
        this.#out.receive(message);
      },
      onclose: ({ code, reason }) => {
        closed();
        failed = LiveError.closed(code, reason, session !== null);
        if (session && session === this.#session) this.#lost(failed);
      },
    };
    try {
      session = await this.#connect({ token, url, auth, setup, signal, callbacks });
    } catch (cause) {
      throw failed ?? cause; // another client's may not tell how it was closed
    }
    const told = seedMessage((await seed) ?? [], setup);
    if (failed || signal.aborted) throw failed ?? LiveError.aborted(); // while the page looked for what was said
    if (told) session.sendClientContent(told);
    this.#session = session;
    this.#seeded = true;
    this.#upSince = this.#sentAt = epochNow();
    this.#leaveBy = Infinity;
    this.#fresh = true;
    this.#ownHandle = 'sessionResumption' in (answer.setup ?? {});
    this.#keeper.renewed(answer, this.#upSince);
    this.#out.up(handle !== '');
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
    this.#hangUp();
    this.#outage = { attempt: 1, refused: 0 };
    await Promise.race([this.#closed, new Promise((resolve) => setTimeout(resolve, CLOSING_MS))]);
    await this.#replace(null, 'resuming', began);
  }

  #hangUp() {
    const session = this.#session;
    this.#dialing.abort();
    this.#session = null;
    this.#out.down();
    session?.close();
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
        await this.#open(this.#takeNext() ?? (await this.#keeper.next(this.#handle)));
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
    if (this.#stopped || this.#keeper.tick(now) || !this.up) return;
    if (now - this.#sentAt >= KEEPALIVE_MS) this.#breathe();
    this.#nudge(now);
    if (this.#watchdog.isDead(now)) return this.#lost(LiveError.closed(1006, '', true));
    const { renewAt, expiresAt } = this.#keeper.terms;
    if (now >= renewAt) this.#leave(expiresAt - FETCH_MARGIN_MS);
    if (this.#leaveBy < Infinity && !this.#keeper.lastToken) this.#prepareToLeave(now);
  }

  /** @param {number} now */
  #prepareToLeave(now) {
    const good = this.#out.calm() && (this.#fresh || !this.#handle);
    const next = this.#next;
    // A handle inside the token is as old as the token: fetched last, and not used when something was said since.
    const stale = next?.answer && (now > next.connectBy || !(this.#ownHandle || good || now >= this.#leaveBy));
    if (stale) this.#next = null;
    else if (next?.answer && (good || now >= this.#leaveBy)) void this.#handOver();
    else if (!next && now >= this.#nextAt && (this.#ownHandle || good || now >= this.#leaveBy - FETCH_MARGIN_MS)) {
      void this.#fetchNext();
    }
  }

  /** A handle comes in reaction to something only, so who types and listens would be taken back to before the last turn. @param {number} now */
  #nudge(now) {
    if (this.#fresh || !this.#handle || now - this.#sentAt < NUDGE_MS || !this.#out.calm()) return;
    if (this.#nudged && this.#leaveBy === Infinity) return;
    this.#nudged = true;
    this.#breathe();
  }

  /** The broker may be away; the conversation goes on without it until the slice ends. */
  async #fetchNext() {
    const next = (this.#next = { answer: /** @type {TokenAnswer | null} */ (null), connectBy: Infinity });
    try {
      const answer = await this.#keeper.next(this.#handle);
      next.connectBy = termsOf(answer, epochNow()).connectBy - LEAVE_MARGIN_MS;
      next.answer = answer;
      this.#nextFailures = 0;
    } catch (cause) {
      const error = LiveError.from(cause, 'network');
      this.#next = null;
      this.#nextAt = epochNow() + renewalDelayMs(error, this.#nextFailures++);
      if (actionFor(error, 'open') === 'stop') this.#keeper.endWithSlice(error);
    }
  }

  #takeNext() {
    const next = this.#next;
    this.#next = null;
    return next && epochNow() <= next.connectBy ? next.answer : null;
  }
}

/** What the broker ended is an end, not a fault. @param {LiveError} error */
const asEnd = (error) => (ENDED.has(error.code ?? '') ? LiveError.ended(error.detail, error.toJSON()) : error);
