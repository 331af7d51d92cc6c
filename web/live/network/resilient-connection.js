/**
 * One lasting connection to the service, made of connections that end: planned changes and recovery after a break.
 * Leaves the content to network-session.js.
 *
 * A connection lives about ten minutes, a token fifteen. Before either ends, this class fetches the next token, closes
 * the old socket (Google refuses a handle while its session is open) and resumes the conversation with its handle. It
 * waits for a moment when nobody speaks, if there is one.
 */
import { encodeBase64 } from '../shared/base64.js';
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { CHUNK_SAMPLES, INPUT_MIME } from '../shared/pcm.js';
import { Attempts } from './attempts.js';
import { LiveSocket, connect as openSocket } from './live-socket.js';
import { NextToken } from './next-token.js';
import { openConnection, sendOn } from './open-connection.js';
import { asEnd, refusedToken } from './reconnect-policy.js';
import { SessionKeeper } from './session-keeper.js';
import { Watchdog } from './watchdog.js';

/** @typedef {import('./open-connection.js').Connection} Connection */
/** @typedef {import('./token-source.js').TokenAnswer} TokenAnswer */
/**
 * @typedef {object} OwnCallbacks
 * @property {(message: Record<string, any> | null) => void} receive
 * @property {() => boolean} idle nobody speaks, types or waits for an answer
 * @property {(answer: TokenAnswer) => void} granted the first token
 * @property {(resumed: boolean) => void} up
 * @property {() => void} down
 */
/** @typedef {OwnCallbacks & import('./session-keeper.js').KeeperHost} ConnectionHost */

const TICK_MS = 250;
/** Google drops a client that sends nothing for about 150 s, even if it is muted or only listens. */
const KEEPALIVE_MS = 30_000;
const SILENCE = { audio: { data: encodeBase64(new Uint8Array(CHUNK_SAMPLES * 2)), mimeType: INPUT_MIME } };
/** What breaks a connection that lasted this long, the shorter time if an answer ended on it, is a new problem. */
const STABLE_MS = 30_000;
const ANSWERED_STABLE_MS = 2000;
/** A connection is left at the latest this long before its end. */
const LEAVE_MARGIN_MS = 1000;
/** The next token is requested at the latest this long before the connection is left. */
const REQUEST_MARGIN_MS = 5000;
const CLOSE_TIMEOUT_MS = 1000;
const HANDLE_DELAY_MS = 1000;

export class ResilientConnection {
  #host;
  #keeper;
  #nextToken;
  #watchdog = new Watchdog();
  #stopped = false;
  #connect;
  /** The connection in use, after its setup. @type {Connection | null} */
  #current = null;
  /** Settles when the newest connection is closed, by either side. @type {Promise<void>} */
  #closed = Promise.resolve();
  /** Aborts the newest attempt, or its connection. */
  #attempt = new AbortController();
  /** Settles when the first token request is over. @type {Promise<unknown>} */
  #started = Promise.resolve();
  /** The newest resumption handle, and whether it includes everything that was said. */
  #handle = '';
  #handleFresh = true;
  #handleRequested = false;
  /** A new session may need the text so far. */
  #hasHistory = false;
  /** The client may name the handle in its setup. Otherwise the token contains it and is as old as the token. */
  #handleInSetup = true;
  #attempts;
  #upSince = 0;
  #answered = false;
  #sentAt = 0;
  /** When this connection must be left, at the latest. */
  #leaveBy = Infinity;
  #ticker = setInterval(() => this.#tick(), TICK_MS);

  /** @param {ConnectionHost} host @param {import('./open-connection.js').Connect} connect */
  constructor(host, connect = (options) => openSocket(options, LiveSocket)) {
    this.#host = host;
    this.#connect = connect;
    this.#attempts = new Attempts(host.report.bind(host));
    this.#keeper = new SessionKeeper(host);
    this.#nextToken = new NextToken(
      (handle) => this.#keeper.nextToken(handle),
      (error) => this.#keeper.endWithToken(error),
    );
  }

  get up() {
    return this.#current !== null;
  }

  /** The browser says so, and no connection contradicts it. */
  get offline() {
    return !this.#attempts.online && !this.up;
  }

  get silent() {
    return this.up && this.#watchdog.silent;
  }

  get bufferedBytes() {
    return this.#current?.bufferedAmount ?? 0;
  }

  /**
   * Rejects with a LiveError.
   * @param {import('./token-source.js').TokenPlan} plan
   * @param {boolean} [hasHistory] the first session receives an earlier conversation
   */
  async start(plan, hasHistory = false) {
    this.#hasHistory = hasHistory;
    const started = this.#keeper.start(plan);
    this.#started = started.catch(() => {}); // start() reports it
    const answer = await started;
    // If the page stopped meanwhile, it could not know that there is a session to end. stop() ends it.
    if (this.#stopped) return;
    this.#host.granted(answer);
    await this.#open(answer).catch(async (error) => {
      // The way to here may have taken too long, or the device slept on it. Another token costs no session.
      if (this.#stopped || !refusedToken(error)) throw error;
      await this.#open(await this.#keeper.nextToken(''));
    });
    this.#host.report({ type: 'ready', at: epochNow() });
  }

  /**
   * @param {Record<string, any>} message with one key: `realtimeInput`, `clientContent` or `toolResponse`
   * @param {boolean} expectsReply whether any service replies to it
   */
  send(message, expectsReply) {
    this.#sentAt = epochNow();
    this.#watchdog.sent(this.#sentAt, expectsReply);
    if (this.#current) sendOn(this.#current, message);
  }

  #sendSilence() {
    this.send({ realtimeInput: SILENCE }, false);
  }

  /** Acts on facts about the connection itself. @param {import('../shared/protocol.js').ServerFact} fact */
  observe(fact) {
    if (fact.type === 'goAway') this.#leaveAt(epochNow() + fact.timeLeftSeconds * 1000 - LEAVE_MARGIN_MS);
    else if (fact.type === 'resumption') {
      this.#watchdog.received(true);
      this.#handleFresh = fact.handle !== null;
      this.#handle = fact.handle ?? this.#handle;
    } else if (fact.type === 'generationComplete') this.#answered = true;
  }

  /** Something was said that the handle does not include. */
  spoken() {
    this.#handleFresh = this.#handleRequested = false;
  }

  /** @param {boolean} online */
  setOnline(online) {
    this.#attempts.setOnline(online);
    if (online && !this.up && this.#upSince) this.#attempt.abort(); // it began in another network
    this.#watchdog.suspect();
    if (this.up) this.#sendSilence(); // to get a sign of life
  }

  /** Resolves when everything is closed. @param {boolean} pageEnds the page itself ends the broker's session */
  async stop(pageEnds) {
    const { brokerSession } = this.#keeper;
    this.#stopped = true;
    clearInterval(this.#ticker);
    this.#attempts.stop();
    this.#attempt.abort();
    this.#current?.close();
    await this.#started; // a session that is granted after the end is ended too
    if (!brokerSession || !pageEnds) await this.#keeper.brokerSession?.end();
  }

  /** @param {TokenAnswer} answer */
  async #open(answer) {
    const handle = this.#handle;
    // A handle may be older than the last turns. The service hears of those again, and answers none of them.
    const missed = handle !== '' && !this.#handleFresh;
    const lacks = this.#hasHistory && (!handle || missed);
    const history = lacks ? this.#host.ask('history', { missed }).catch(() => []) : null;
    const setup = handle ? { ...answer.setup, sessionResumption: { handle } } : answer.setup;
    this.#watchdog.reset();
    this.#attempt = new AbortController();
    const { signal } = this.#attempt;
    let setClosed = () => {};
    this.#closed = new Promise((resolve) => {
      setClosed = resolve;
    });
    const connection = await openConnection(this.#connect, { ...answer, setup }, history, signal, {
      opened: () => this.#host.report({ type: 'opened', at: epochNow() }),
      received: (message) => {
        this.#watchdog.received(false);
        this.#host.receive(message);
      },
      closed: (error, connection) => {
        setClosed();
        if (connection && connection === this.#current) this.#lost(error);
      },
    });
    this.#current = connection;
    this.#hasHistory = true;
    this.#upSince = this.#sentAt = epochNow();
    this.#answered = false;
    this.#leaveBy = Infinity;
    this.#handleFresh = !missed;
    this.#handleInSetup = 'sessionResumption' in (answer.setup ?? {});
    this.#keeper.inUse(answer, this.#upSince);
    this.#host.up(handle !== '');
  }

  /** The connection broke. @param {LiveError} error */
  #lost(error) {
    const began = epochNow();
    if (began - this.#upSince > (this.#answered ? ANSWERED_STABLE_MS : STABLE_MS)) this.#attempts.reset();
    this.#attempts.broke(began, this.#answered);
    this.#hangUp();
    void this.#replace(error, 'open', began);
  }

  /** Something here has failed, so the connection is in an unknown state: another one takes its place. @param {string} detail */
  fault(detail) {
    if (this.#current) this.#lost(new LiveError({ reason: 'connection-lost', detail }));
    else this.#attempt.abort();
  }

  /** Gives a connection up that works. @param {LiveError} error why @param {boolean} restart gives the session up, too */
  leave(error, restart) {
    this.#attempts.reset();
    if (restart) this.#handle = '';
    void this.#change(error, 'open');
  }

  /** @param {LiveError | null} error null: as planned @param {import('./reconnect-policy.js').Phase} phase */
  async #change(error, phase) {
    const began = epochNow();
    this.#hangUp();
    await Promise.race([this.#closed, new Promise((resolve) => setTimeout(resolve, CLOSE_TIMEOUT_MS))]);
    await this.#replace(error, phase, began);
  }

  #hangUp() {
    const connection = this.#current;
    this.#attempt.abort();
    this.#current = null;
    this.#host.down();
    connection?.close();
  }

  /**
   * @param {LiveError | null} error null when the old connection was left as planned
   * @param {import('./reconnect-policy.js').Phase} phase @param {number} began epoch milliseconds
   */
  async #replace(error, phase, began) {
    const planned = !error;
    while (!this.#stopped) {
      if (error && !(await this.#prepareAttempt(error, phase))) return;
      const resumed = this.#handle !== '';
      phase = resumed ? 'resuming' : 'opening';
      try {
        await this.#open(this.#nextToken.take() ?? (await this.#keeper.nextToken(this.#handle)));
        const gapMs = Math.round(epochNow() - began);
        return this.#host.report({ type: 'reconnected', resumed, seeded: !resumed, planned, gapMs });
      } catch (cause) {
        error = LiveError.from(cause, 'connection-lost');
      }
    }
  }

  /** Waits before the next attempt. Returns false when there is none. @param {LiveError} error @param {import('./reconnect-policy.js').Phase} phase */
  async #prepareAttempt(error, phase) {
    const next = await this.#attempts.next(error, phase);
    if (!next) this.#host.ended(asEnd(error));
    else if (next.seed) this.#handle = '';
    return next !== null && !this.#stopped;
  }

  /** @param {number} time epoch milliseconds */
  #leaveAt(time) {
    this.#leaveBy = Math.min(this.#leaveBy, time);
  }

  #tick() {
    const now = epochNow();
    if (this.#stopped || this.#keeper.tick(now) || !this.up) return;
    if (now - this.#sentAt >= KEEPALIVE_MS) this.#sendSilence();
    this.#requestHandle(now);
    if (this.#watchdog.isDead(now)) return this.#lost(LiveError.closed(1006, '', true));
    const { renewAt, expiresAt } = this.#keeper.times;
    if (now >= renewAt) this.#leaveAt(expiresAt - REQUEST_MARGIN_MS);
    if (this.#leaveBy < Infinity && !this.#keeper.renewalError) this.#prepareToLeave(now);
  }

  /** @param {number} now */
  #prepareToLeave(now) {
    const goodMoment = this.#host.idle() && (this.#handleFresh || !this.#handle);
    const mayLeave = goodMoment || now >= this.#leaveBy;
    // A handle inside the token is as old as the token. Such a token is requested last, and dropped if somebody speaks.
    const mayRequest = this.#handleInSetup || goodMoment || now >= this.#leaveBy - REQUEST_MARGIN_MS;
    const ready = this.#nextToken.update(now, mayRequest, this.#handleInSetup || mayLeave, this.#handle);
    if (!ready || !mayLeave) return;
    this.#attempts.reset(1);
    void this.#change(null, 'resuming');
  }

  /**
   * Sends a little silence to get a fresh handle. The service sends handles only in reaction to input. Without one, a
   * user who types and listens would be taken back to before the last turn.
   * @param {number} now
   */
  #requestHandle(now) {
    if (this.#handleFresh || now - this.#sentAt < HANDLE_DELAY_MS || !this.#host.idle()) return;
    if (this.#handleRequested && this.#leaveBy === Infinity) return;
    this.#handleRequested = true;
    this.#sendSilence();
  }
}
