/**
 * One start of a LiveSession until its end. Joins audio, network and conversation: connects them, turns network reports
 * into events and figures, and answers the network's questions.
 *
 * Leaves the order of states, and what stays from one start to the next, to live-session.js.
 */
import { Conversation } from './conversation/conversation.js';
import { BrokerSession } from './network/broker-session.js';
import { epochNow } from './shared/clock.js';
import { Diagnostics } from './shared/diagnostics.js';
import { LiveError, lazyModule } from './shared/errors.js';
import { onlyWrites } from './shared/model-rules.js';

/** @typedef {import('./audio/audio-io.js').AudioIO} AudioIO */
/** @typedef {import('./network/network-client.js').NetworkClient} NetworkClient */
/** @typedef {import('./network/messages.js').NetworkReport} NetworkReport */
/** @typedef {import('./network/token-source.js').TokenPlan} TokenPlan */
/** @typedef {import('./conversation/conversation.js').ConversationHost} ConversationHost */
/**
 * The parts of a start. They can be created before the click, and are dropped at the end.
 * @typedef {{audio: AudioIO, client: Promise<NetworkClient>}} Parts
 */
/**
 * @typedef {object} RunHost
 * @property {import('./shared/events.js').Emit} emit
 * @property {import('./conversation/transcript.js').Transcript} transcript
 * @property {() => void} changed the state may have changed
 * @property {(error: LiveError) => void} failed
 */
/** @typedef {{tokenSource: import('./network/token-source.js').TokenSource}
 *   & import('./conversation/conversation.js').ConversationOptions} RunOptions */

/** @implements {ConversationHost} */
export class SessionRun {
  #options;
  #id;
  #host;
  #controller = new AbortController();
  signal = this.#controller.signal;
  diagnostics = new Diagnostics(epochNow());
  /** Everything is connected: from now on the state follows the conversation. */
  started = false;
  /** The connection broke and was not replaced yet. */
  reconnecting = false;
  endsAt = Infinity;
  /** @type {NetworkClient | null} */
  client = null;
  /** @type {BrokerSession | null} */
  brokerSession = null;
  conversation;
  /** @type {AudioIO | null} */
  #audio = null;
  #setReady = () => {};
  /** When the newest resumption handle came, epoch milliseconds. */
  #savedAt = 0;
  #setGranted = () => {};
  /** The token's terms are known. @type {Promise<void>} */
  #granted = new Promise((resolve) => {
    this.#setGranted = resolve;
  });
  /** The network could not reach the broker, or the answer was lost. */
  #unanswered = false;
  /** @type {typeof import('./shared/broker-report.js') | null} */
  #brokerReport = null;
  /** Rejects when the run is stopped. @type {Promise<never>} */
  stopped = new Promise((_resolve, reject) => {
    this.signal.addEventListener('abort', () => reject(this.signal.reason));
  });

  /** @param {RunOptions} options @param {string} id of this start @param {RunHost} host */
  constructor(options, id, host) {
    this.#options = options;
    this.#id = id;
    this.#host = host;
    this.stopped.catch(() => {}); // nobody listens after the start
    this.changed = host.changed;
    this.transcript = host.transcript;
    this.conversation = new Conversation(this, options, id);
  }

  get speaker() {
    return this.#audio?.speaker;
  }

  /** @type {import('./shared/events.js').Emit} */
  emit = (type, detail) => {
    if (type === 'caption') this.#audio?.caption(/** @type {import('./shared/events.js').Caption} */ (detail));
    this.#host.emit(type, detail);
  };

  /** @param {Record<string, any>} message */
  send(message) {
    this.client?.post({ type: 'send', message });
  }

  /** The user stops the model. */
  interrupt() {
    this.#audio?.stopped();
    this.client?.post({ type: 'interrupt', heard: this.conversation.state === 'speaking', at: epochNow() });
  }

  /** @param {boolean} held */
  hold(held) {
    this.client?.post({ type: 'hold', held });
  }

  /** Runs inside the click up to its first await. @param {Parts} parts @param {boolean} microphone */
  async start({ audio, client }, microphone) {
    this.#audio = audio;
    audio.onplayed = (report) => {
      this.conversation.onPlayback(report);
      this.diagnostics.played(report, audio.speaker);
      if (report.type !== 'meter') this.#emitDiagnostics();
    };
    audio.oncapture = (report) => this.diagnostics.captured(report);
    const playback = new MessageChannel();
    const ports = { playback: playback.port2 };
    const steps = [this.#openSpeaker(audio, playback.port1), this.conversation.prepare()];
    let permitted = Promise.resolve();
    if (microphone) {
      const capture = new MessageChannel();
      Object.assign(ports, { capture: capture.port2 });
      steps.push(this.#openMic(audio, capture.port1));
      permitted = audio.permitted();
    }
    steps.push(this.#connect(audio, client, ports, permitted));
    await Promise.all(steps);
  }

  /** @param {LiveError} why */
  stop(why) {
    if (!this.#unanswered) this.#options.tokenSource.intent.answered();
    this.#controller.abort(why);
    this.conversation.stop();
  }

  /** Sends the last report and ends the broker's session. */
  async endSession() {
    const session = this.brokerSession;
    const figures = this.#brokerReport?.brokerReport(this.diagnostics.snapshot());
    const [ended] = await Promise.all([session?.end(), figures && session?.report(figures)]);
    if (ended === false) this.#warn('end-lost');
  }

  /** A model that only writes needs no loudspeaker. @param {AudioIO} audio @param {MessagePort} port */
  async #openSpeaker(audio, port) {
    await this.#granted;
    if (this.signal.aborted) return;
    if (onlyWrites(this.conversation.setup)) audio.withoutSpeaker(port);
    else await audio.openSpeaker(port);
  }

  /** @param {AudioIO} audio @param {MessagePort} port */
  async #openMic(audio, port) {
    await audio.openMic(port);
    if (!this.signal.aborted) this.diagnostics.microphone(audio.settings, epochNow());
  }

  /**
   * @param {AudioIO} audio @param {Promise<NetworkClient>} opening
   * @param {{playback: MessagePort, capture?: MessagePort}} ports
   * @param {Promise<void>} permitted nothing is charged while the browser still asks for the microphone
   */
  async #connect(audio, opening, ports, permitted) {
    const { tokenSource, history } = this.#options;
    await permitted;
    if (this.signal.aborted) return;
    const [client, plan] = await Promise.all([opening, tokenSource.describe({ signal: this.signal })]);
    if (this.signal.aborted) return;
    this.client = client;
    this.diagnostics.onThread(client.thread);
    client.onreport = (report) => this.#onReport(plan, report);
    const hasHistory = !!history?.length;
    /** @type {Promise<void>} */
    const ready = new Promise((resolve) => {
      this.#setReady = resolve;
    });
    const keyed = tokenSource.intent.keyed(plan);
    client.post({ type: 'start', plan: keyed, ...ports, ...audio.gateState, hasHistory }, Object.values(ports));
    await ready;
  }

  /** @param {TokenPlan} plan of the first token @param {NetworkReport} report */
  #onReport(plan, report) {
    const { type } = report;
    if (type === 'message') this.#receive(report);
    else if (type === 'ask') void this.#answer(report);
    else if (type === 'failed') void this.#fail(report.error);
    else if (type === 'stopped') this.conversation.stopped(report.turn);
    else if (type === 'broken') this.conversation.disconnected(report, report.calls);
    else if (type === 'answer') this.#onAnswerChange(report);
    else if (type === 'granted' || type === 'opened' || type === 'ready') {
      this.diagnostics.mark(type, report.at);
      if (type === 'granted') this.#onGranted(plan, report);
      if (type === 'ready') this.#setReady();
    } else this.#onOther(report);
  }

  /** @param {NetworkReport} report */
  #onOther(report) {
    if (report.type === 'unreadable') this.diagnostics.unreadable();
    else if (report.type === 'warning') this.#warn(report.code);
    else if (report.type !== 'hello') this.#onConnectionChange(/** @type {any} */ (report));
  }

  /** @param {NetworkReport & {type: 'message'}} report */
  #receive({ message, facts, ...place }) {
    if (message.sessionResumptionUpdate?.newHandle) this.#savedAt = Date.now();
    if (message.serverContent) this.#audio?.expectSound();
    this.conversation.receive(message, facts, place);
  }

  /** @param {NetworkReport & {type: 'answer'}} report */
  #onAnswerChange({ waiting, event, detail }) {
    this.conversation.wait(waiting);
    if (event) this.emit(event, /** @type {any} */ (detail));
  }

  /** @param {TokenPlan} plan @param {NetworkReport & {type: 'granted'}} report */
  #onGranted(plan, { session, manual, model, setup, terms }) {
    this.#options.tokenSource.intent.answered();
    this.emit('granted', terms);
    if (session && 'request' in plan) {
      this.brokerSession = new BrokerSession(plan.request, session.id);
      this.#loadBrokerReport().catch(() => {}); // now, because a page that closes cannot wait for it
    }
    import('./conversation/history.js').catch(() => {}); // now, because it is needed when the network is bad
    this.#audio?.granted(manual);
    this.conversation.useModel(model, setup);
    this.#setGranted();
  }

  /**
   * The turns that a session starts with, as `clientContent.turns`.
   * @param {{typedSent: number, typedSaved: number, missed: boolean}} wanted `typedSent`: how many typed texts were sent;
   *   the others will be sent to the session. `missed`: only the turns that the newest resumption handle does not
   *   include; it includes the first `typedSaved` typed texts
   */
  async #turnsSoFar({ typedSent, typedSaved, missed }) {
    const { earlier, newest } = await lazyModule(import('./conversation/history.js'));
    const saved = missed ? { at: this.#savedAt, typed: typedSaved } : undefined;
    return [
      ...(missed ? [] : earlier(this.#options.history)),
      ...(this.started ? newest(this.transcript.turns, this.#id, typedSent, saved) : []),
    ];
  }

  async #loadBrokerReport() {
    this.#brokerReport = await lazyModule(import('./shared/broker-report.js'));
    return this.#brokerReport.brokerReport;
  }

  /** The conversation goes on, or has ended, and the person should know something. @param {string} code */
  #warn(code) {
    const fields = this.#brokerReport?.WARNINGS[code];
    if (fields) this.emit('error', { error: new LiveError(fields) });
  }

  /** @param {import('./shared/errors.js').LiveErrorFields} fields */
  async #fail(fields) {
    this.#unanswered = fields.reason === 'network'; // if the token was granted, its request has been answered before
    const error = await new LiveError(fields).explained();
    if (!this.signal.aborted) this.#host.failed(error);
  }

  /** @param {NetworkReport & {type: 'reconnecting' | 'reconnected' | 'network' | 'clock' | 'notice'}} report */
  #onConnectionChange(report) {
    const { type, ...detail } = report;
    if (report.type === 'clock') this.endsAt = report.endsAt;
    else if (report.type === 'network') this.diagnostics.sent(report);
    else if (report.type !== 'notice') {
      this.reconnecting = report.type === 'reconnecting';
      if (report.type === 'reconnected') this.diagnostics.reconnected(report);
      if (report.type === 'reconnected' && report.seeded) this.conversation.dropCalls();
      this.changed();
    }
    this.emit(type, /** @type {any} */ (detail));
    if (type !== 'clock') this.#emitDiagnostics();
  }

  /** Answers a question of the network. @param {NetworkReport & {type: 'ask'}} question */
  async #answer({ id, what, detail }) {
    const answers = {
      plan: () => this.#options.tokenSource.describe({ signal: this.signal, ...detail }),
      history: () => this.#turnsSoFar(detail),
      report: async () => (await this.#loadBrokerReport())(this.diagnostics.snapshot()),
    };
    try {
      const value = /** @type {any} */ (await answers[what]());
      if (this.brokerSession && value.request) this.brokerSession.access = value.request;
      this.client?.post({ type: 'reply', id, value });
    } catch (cause) {
      this.client?.post({ type: 'reply', id, error: LiveError.from(cause, 'token-refused').toJSON() });
    }
  }

  #emitDiagnostics() {
    this.emit('diagnostics', this.diagnostics.snapshot());
  }
}
