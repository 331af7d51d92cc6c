/**
 * Sees to it that the model answers, or that the user learns why not: silence, turns without content, and a resumed
 * session that has forgotten everything.
 *
 * The network loads this module with the token, so it imports as little as possible. There are four steps: a message
 * that the model understands; the same session on another connection; a new session with the text so far; the end, with
 * a reason. An answer of the model starts again with the first.
 */
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { ContextCheck } from './context-check.js';
import { ModelWatchdog } from './model-watchdog.js';

/** @typedef {import('../shared/events.js').AnswerStep} AnswerStep */
/** @typedef {import('./model-watchdog.js').Question} Question */
/** @typedef {import('./messages.js').Outgoing} Outgoing */
/**
 * @typedef {object} AnswerHost
 * @property {(report: import('./messages.js').NetworkReport) => void} report
 * @property {(what: import('./messages.js').Question) => Promise<any>} ask
 * @property {(outgoing: Outgoing) => void} send
 * @property {(question: Question, restart: boolean, error: LiveError) => void} reconnect
 *   resumes the session or, to restart, opens a new one with the text so far
 * @property {(error: LiveError) => void} ended
 * @property {number} loudAt when the microphone was last loud, epoch milliseconds
 * @property {boolean} manual the client marks the user's speech
 */

/** @type {AnswerStep[]} */
const STEPS = ['nudge', 'resume', 'restart', 'end'];
/** "Generation should start with the currently accumulated prompt." */
const GO_ON = { clientContent: { turnComplete: true } };
/** What the service has heard so far is all. Only automatic detection takes it. */
const FLUSH = { realtimeInput: { audioStreamEnd: true } };

export class AnswerKeeper {
  #host;
  #watchdog = new ModelWatchdog();
  #context = new ContextCheck();
  /** The page knows that the answer is late. */
  #waiting = false;
  /** This class has closed the connection. */
  #reconnecting = false;
  /** Something else broke the connection while this question was open. @type {Question | null} */
  #broken = null;

  /** @param {AnswerHost} host */
  constructor(host) {
    this.#host = host;
  }

  /** @param {Record<string, any>} [setup] */
  granted(setup) {
    this.#watchdog.granted(setup);
    this.#context.granted(setup);
  }

  /** @param {Outgoing} outgoing @param {boolean} expectsReply */
  sent({ message, typed }, expectsReply) {
    const now = epochNow();
    const { toolResponse, clientContent } = message;
    if (toolResponse) this.#watchdog.responded(toolResponse.functionResponses ?? [], now);
    else if (expectsReply && clientContent?.turnComplete !== false && message !== GO_ON) {
      this.#watchdog.asked({ kind: 'text', sure: true, message, typed }, now);
    }
  }

  /** The user released the button that marks the speech. */
  released() {
    this.#watchdog.heard(true, epochNow(), this.#host.loudAt);
  }

  /** @param {import('../shared/protocol.js').ServerFact} fact @param {boolean} opens whether it opens a turn */
  observe(fact, opens) {
    const forgotten = this.#context.observe(fact, opens, this.#watchdog.question !== null);
    const empty = this.#watchdog.observe(fact, epochNow(), this.#host.loudAt);
    if (forgotten) void this.#giveContext();
    if (empty && fact.type === 'turnComplete') void this.#emptyTurn(fact.reason ?? '').catch(() => {}); // a silence follows
    this.#reportEnd();
  }

  tick() {
    const now = epochNow();
    if (!this.#watchdog.overdue(now, this.#host.loudAt)) return;
    const { question } = this.#watchdog;
    const nudge = question?.kind === 'speech' && !this.#host.manual ? FLUSH : GO_ON;
    if (question?.sure) {
      this.#proceed(nudge, 'stalled', { waitedMs: this.#watchdog.waitedMs(now, this.#host.loudAt) });
    } else {
      // It may have been noise, so nobody is alarmed. If it was speech, this tells the service that it has ended.
      if (nudge === FLUSH) this.#host.send({ message: nudge });
      this.#watchdog.forget(now);
    }
  }

  /** @param {string} reason as the service names it */
  async #emptyTurn(reason) {
    const { question } = this.#watchdog;
    const { turnReason } = await import('../shared/turn-reasons.js');
    if (question !== this.#watchdog.question) return; // answered meanwhile
    const { final, detail } = turnReason(reason);
    if (!final) return this.#proceed(GO_ON, 'emptyturn', { reason, detail });
    this.#watchdog.forget(epochNow());
    this.#report('emptyturn', { reason, detail, step: 'none' });
  }

  /**
   * Takes the next step.
   * @param {Record<string, any>} nudge for anything but a text, which is sent again
   * @param {'stalled' | 'emptyturn'} event @param {object} detail
   */
  #proceed(nudge, event, detail) {
    const question = /** @type {Question} */ (this.#watchdog.question);
    const step = STEPS[this.#watchdog.step(epochNow())];
    this.#waiting = step !== 'end';
    this.#report(event, { ...detail, step });
    const error = new LiveError({ reason: 'no-answer', detail: 'The model is silent.' });
    if (step === 'end') this.#host.ended(error);
    else if (step === 'nudge') this.#host.send(asking(question, nudge));
    else {
      this.#reconnecting = true;
      this.#host.reconnect(question, step === 'restart', error);
    }
  }

  /** @param {'stalled' | 'emptyturn' | 'contextlost'} [event] @param {object} [detail] */
  #report(event, detail) {
    this.#waiting &&= this.#watchdog.question !== null;
    this.#host.report({ type: 'answer', waiting: this.#waiting, event, detail });
  }

  #reportEnd() {
    if (this.#waiting && !this.#watchdog.question) this.#report();
  }

  /** The model has lost the conversation, so it receives the text again. It answers with the user's next words. */
  async #giveContext() {
    const turns = await this.#host.ask('history').catch(() => []);
    if (turns.length > 0) this.#host.send({ message: { clientContent: { turns, turnComplete: false } } });
    this.#report('contextlost', { seeded: turns.length > 0 });
  }

  /** @param {boolean} resumed */
  up(resumed) {
    const { question } = this.#watchdog;
    this.#watchdog.reconnected(epochNow());
    this.#context.connected(resumed);
    if (question) this.#host.send(asking(question, GO_ON));
    this.#reconnecting = false;
  }

  /**
   * What has no answer yet is asked again on the next connection, but not after a second break: it may be the cause.
   * Results of functions are lost with the connection.
   * @returns {number | undefined} the number of the text that will be sent again
   */
  down() {
    const { question } = this.#watchdog;
    if (!this.#reconnecting) {
      if (!question?.sure || question.kind === 'tool' || question === this.#broken) this.#watchdog.forget(epochNow());
      this.#broken = question;
    }
    this.#reportEnd();
    return this.#watchdog.question?.typed;
  }
}

/** @param {Question} question @param {Record<string, any>} otherwise @returns {Outgoing} */
const asking = (question, otherwise) =>
  question.message ? /** @type {Outgoing} */ (question) : { message: otherwise };
