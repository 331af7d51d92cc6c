/**
 * The network side of a session: audio up, audio down, and the messages that wait for a connection. It runs in a worker,
 * or on the main thread where there is none. Either way the page talks to it through one MessagePort.
 *
 * Leaves captions, functions and states to the page. Audio goes directly between here and the worklets, so a busy page
 * does not disturb it.
 */
import { encodeBase64 } from '../shared/base64.js';
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { rulesFor } from '../shared/model-rules.js';
import { INPUT_MIME } from '../shared/pcm.js';
import { readServerMessage, withoutAudio, withoutLocalIds } from '../shared/protocol.js';
import { LateAnswers } from './late-answers.js';
import { Questions } from './questions.js';
import { ResilientConnection } from './resilient-connection.js';
import { SendQueue } from './send-queue.js';
import { SpeechActivity } from './speech-activity.js';
import { opensTurn, TurnPlayback } from './turn-playback.js';
import { TypedTexts } from './typed-texts.js';

/** @typedef {import('./messages.js').NetworkCommand} NetworkCommand */
/** @typedef {import('./messages.js').NetworkReport} NetworkReport */
/** @typedef {import('./resilient-connection.js').ConnectionHost} ConnectionHost */
/** @typedef {import('./answer-keeper.js').AnswerHost} AnswerHost */
/**
 * `new`: no resumption handle includes the call. `lost`: the service has forgotten it.
 * @typedef {'new' | 'saved' | 'lost'} CallState
 */
/** @typedef {import('./messages.js').Outgoing} Outgoing */

/** After this much silence an answer would have started. */
const QUIET_MS = 2500;
/** How many of the page's messages may wait for a connection. Pictures never wait. */
const MAX_WAITING = 200;
const NETWORK_CHECK_MS = 250;
/** A worker that ends at once would cut off the closing handshake. */
const CLOSE_MS = 1000;

/** @implements {ConnectionHost} @implements {AnswerHost} */
export class NetworkSession {
  #port;
  #onstopped;
  #stopped = false;
  #connection;
  /** @type {MessagePort | null} */
  #capture = null;
  #queue;
  #activity;
  #playback = new TurnPlayback();
  #answers = new LateAnswers(this);
  /** Function calls by what the service knows of them. @type {Map<string, CallState>} */
  #calls = new Map();
  /** Something was said that has no complete answer. */
  #busy = false;
  /** @type {string | undefined} */
  #model;
  /** Otherwise the model's words need no turn, and none ends. */
  #replies = true;
  /** The service reports that it still works. */
  #serviceWorking = false;
  /** Messages that wait for a connection. @type {Outgoing[]} */
  #waiting = [];
  #typed = new TypedTexts();
  #questions = new Questions((question) => this.report(question));
  /** @type {import('../shared/events.js').NetworkState} */
  #network = { state: 'ok', droppedMs: 0 };
  #networkCheck = setInterval(() => this.#checkNetwork(), NETWORK_CHECK_MS);

  /**
   * @param {MessagePort} port to the page
   * @param {() => void} [onstopped] after the socket is closed
   * @param {import('./open-connection.js').Connect} [connect] another client's way to connect
   */
  constructor(port, onstopped = () => {}, connect) {
    this.#port = port;
    this.#onstopped = onstopped;
    this.#connection = new ResilientConnection(this, connect);
    this.#queue = new SendQueue(
      (item) => (typeof item === 'boolean' ? this.#activity.mark(item) : this.#sendAudio(item)),
      () => this.#connection.bufferedBytes,
    );
    this.#activity = new SpeechActivity(this.#queue, (input, expectsReply) => {
      if (input.activityEnd) this.#answers.tell((answers) => answers.released());
      this.#connection.send({ realtimeInput: input }, expectsReply);
    });
    port.onmessage = ({ data }) => this.#handle(data);
    this.report({ type: 'hello' });
  }

  get loudAt() {
    return this.#queue.loudAt;
  }

  get manual() {
    return this.#activity.manual;
  }

  get #quietMs() {
    return epochNow() - this.loudAt;
  }

  /** @param {NetworkCommand} command */
  #handle(command) {
    if (command.type === 'start') void this.#start(command);
    else if (command.type === 'send') this.send(command);
    else if (command.type === 'ports') this.#connectPorts(command);
    else if (command.type === 'picture') void this.#sendPicture(command.bitmap);
    else if (command.type === 'hold') this.#queue.hold(command.held);
    else if (command.type === 'interrupt') void this.#interrupt(command);
    else if (command.type === 'mute') this.#activity.setMuted(command.muted);
    else if (command.type === 'activity') this.#activity.setPressed(command.active);
    else if (command.type === 'online') this.#connection.setOnline(command.online);
    else if (command.type === 'reply') this.#questions.answered(command);
    else this.#stop(command.pageEnds);
  }

  /** @param {NetworkCommand & {type: 'start'}} command */
  async #start({ plan, muted, active, hasHistory, ...ports }) {
    this.#connectPorts(ports);
    this.#activity.start(muted, active);
    try {
      await this.#connection.start(plan, hasHistory);
    } catch (cause) {
      this.ended(LiveError.from(cause, 'connection-lost'));
    }
  }

  /** @param {import('./token-source.js').TokenAnswer} answer */
  granted({ setup, session, model, profile, locked, limits, expires_in, connect_within }) {
    this.#activity.granted(setup);
    const { manual } = this.#activity;
    this.#model = setup?.model;
    this.#replies = rulesFor(setup?.model).replies;
    // The members that a page may show. The token is none of them.
    const terms = { profile, model, locked, limits, expires_in, connect_within };
    this.#answers.granted(setup);
    this.report({ type: 'granted', at: epochNow(), manual, session, model, setup, terms });
  }

  /** @param {import('./messages.js').Question} what @param {object} [detail] @returns {Promise<any>} */
  ask(what, detail) {
    const more = what === 'history' && { typedSent: this.#typed.sent, typedSaved: this.#typed.saved };
    return this.#questions.ask(what, { ...detail, ...more });
  }

  /** @param {Outgoing} outgoing */
  send(outgoing) {
    if (!this.#connection.up) {
      if (this.#waiting.length < MAX_WAITING) this.#waiting.push(outgoing);
      return;
    }
    const { message, typed } = outgoing;
    this.#typed.send(typed);
    const { realtimeInput, toolResponse, clientContent } = message;
    // An answer to a call that the service has forgotten would end the connection.
    const answers = toolResponse?.functionResponses;
    if (answers?.some((/** @type {{id: string}} */ { id }) => this.#calls.get(id) === 'lost')) return;
    if (answers) toolResponse.functionResponses = withoutLocalIds(answers);
    const expectsReply = !realtimeInput || realtimeInput.text !== undefined;
    if (expectsReply) this.#playback.asked();
    this.#busy ||= expectsReply && clientContent?.turnComplete !== false;
    this.#connection.spoken();
    this.#answers.tell((answers) => answers.sent(outgoing, expectsReply));
    this.#connection.send(message, expectsReply);
  }

  /** The network's own code has failed. @param {string} detail */
  fault(detail) {
    this.#connection.fault(detail);
  }

  /** @param {import('./model-watchdog.js').Question} question @param {boolean} restart @param {LiveError} error */
  reconnect({ typed }, restart, error) {
    this.#typed.leaveOut(typed);
    this.#connection.leave(error, restart);
  }

  /** Stops the model's turn here, and tells the service. @param {{heard: boolean, at: number}} command */
  async #interrupt({ heard, at }) {
    const playback = this.#playback;
    if (!playback.speaking && !heard) return;
    const turn = playback.stop(at);
    this.report({ type: 'stopped', turn });
    const { interruption } = await import('./interruption.js');
    // The service may have ended the turn.
    if (!playback.speaking || turn !== playback.turn) return;
    for (const message of interruption(this.#model, this.#activity)) this.#connection.send(message, false);
  }

  /** @param {Uint8Array} chunk */
  #sendAudio(chunk) {
    const quietMs = this.#quietMs;
    const audio = { data: encodeBase64(chunk), mimeType: INPUT_MIME };
    // After the end of speech a reply is due.
    this.#connection.send({ realtimeInput: { audio } }, this.#replies && quietMs > QUIET_MS / 2 && quietMs < QUIET_MS);
  }

  /** Sends a picture now or never: a late picture is useless and would delay speech. @param {ImageBitmap} bitmap */
  async #sendPicture(bitmap) {
    const { sendPicture } = await import('./picture-encoder.js');
    const buffered = () => (this.#connection.up && !this.#queue.slow ? this.#connection.bufferedBytes : Infinity);
    await sendPicture(bitmap, buffered, (video) => this.#connection.send({ realtimeInput: { video } }, false));
  }

  /** Sends everything that waits, in order. @param {boolean} resumed the service knows the conversation so far */
  up(resumed) {
    if (!resumed) for (const id of this.#calls.keys()) this.#calls.set(id, 'lost');
    this.#answers.tell((answers) => answers.up(resumed));
    for (const outgoing of this.#waiting.splice(0)) this.send(outgoing);
    this.#queue.open();
  }

  down() {
    const { turn, position } = this.#playback;
    const calls = this.#changeCalls('lost');
    this.#queue.close(this.#activity.open);
    this.#playback.disconnected(this.#busy);
    this.#activity.open = this.#busy = this.#serviceWorking = false;
    this.report({ type: 'broken', turn, position, calls });
    this.#answers.tell((answers) => this.#typed.leaveOut(answers.down()));
  }

  #checkNetwork() {
    if (this.#connection.up) this.#answers.tell((answers) => answers.tick());
    const { slow, droppedMs } = this.#queue;
    const { offline, silent } = this.#connection;
    const state = offline ? 'offline' : silent ? 'silent' : slow ? 'slow' : 'ok';
    if (state === this.#network.state && droppedMs === this.#network.droppedMs) return;
    this.#network = { state, droppedMs };
    this.report({ type: 'network', state, droppedMs });
  }

  /** Whatever the frame contains, this does not throw. @param {any} message null: a frame that is no JSON object */
  receive(message) {
    const receivedAt = epochNow();
    const facts = readServerMessage(message);
    this.#playback.receive(facts, this.loudAt);
    const { turn, position } = this.#playback;
    const lean = facts.map((fact) => (fact.type === 'audio' ? { ...fact, data: '' } : fact));
    this.#attempt(() =>
      this.report({ type: 'message', message: withoutAudio(message ?? {}), facts: lean, turn, position }),
    );
    for (const fact of facts) {
      this.#attempt(() => {
        this.#connection.observe(fact);
        this.#playback.play(fact, receivedAt);
        this.#observe(fact);
        this.#answers.tell((answers) => answers.observe(fact, opensTurn(fact)));
      });
    }
  }

  /** What fails here costs a part of a frame: for example audio that is no base64. @param {() => void} work */
  #attempt(work) {
    try {
      work();
    } catch {
      this.report({ type: 'unreadable' });
    }
  }

  /** @param {import('../shared/protocol.js').ServerFact} fact */
  #observe(fact) {
    if (fact.type === 'toolCall') for (const { id } of fact.calls) this.#calls.set(id, 'new');
    else if (fact.type === 'resumption' && fact.handle) {
      this.#changeCalls('saved');
      this.#typed.saveAll();
    }
    // With some models the work goes on after the end of a turn.
    if (fact.type === 'interactionStatus') this.#serviceWorking = fact.status === 'IN_PROGRESS';
    if (fact.type === 'turnComplete') this.#busy = false;
    else if (opensTurn(fact) && !this.#playback.isLate(fact)) {
      this.#busy = this.#replies;
      this.#typed.arrived();
      this.#connection.spoken();
    }
  }

  /** Changes the state of all new calls and returns their ids. @param {CallState} state */
  #changeCalls(state) {
    const ids = [...this.#calls.keys()].filter((id) => this.#calls.get(id) === 'new');
    for (const id of ids) this.#calls.set(id, state);
    return ids;
  }

  /**
   * Connects the worklets, again when an audio context was created again.
   * @param {{playback?: MessagePort, capture?: MessagePort}} ports
   */
  #connectPorts({ playback, capture }) {
    if (playback) this.#playback.port = playback;
    if (!capture) return;
    this.#capture = capture;
    capture.onmessage = ({ data }) => this.#queue.push(new Uint8Array(data));
  }

  /** @param {LiveError} error */
  ended(error) {
    if (this.#stopped) return;
    this.report({ type: 'failed', error: error.toJSON() });
    this.#stop(true); // the page hears of the failure and ends the broker's session
  }

  /** @param {boolean} pageEnds */
  async #stop(pageEnds) {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#networkCheck);
    this.#activity.stop();
    this.#capture?.close();
    this.#playback.port?.close();
    await this.#connection.stop(pageEnds);
    setTimeout(() => {
      this.#port.close();
      this.#onstopped();
    }, CLOSE_MS);
  }

  /** Nobody speaks, types or waits for an answer. */
  idle() {
    return !this.#busy && !this.#serviceWorking && !this.#activity.open && this.#quietMs > QUIET_MS;
  }

  /** @param {NetworkReport} report */
  report(report) {
    this.#port.postMessage(report);
  }
}
