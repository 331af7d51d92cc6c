/**
 * The high door: a spoken conversation with states and events.
 *
 * Owns: the order of starting and ending, and the state that the app sees. Composes mic.js, speaker.js and
 * net-link.js; hands what is said to conversation.js and figures to diagnostics.js.
 * Leaves: sound (it never passes this thread), the look of things, and trying again after a lost connection.
 */
import { BrokerSession } from './broker-session.js';
import { epochNow } from './clock.js';
import { Conversation } from './conversation.js';
import { Diagnostics } from './diagnostics.js';
import { LiveError } from './errors.js';
import { LiveEventTarget } from './events.js';
import { Mic } from './mic.js';
import { NetLink } from './net-link.js';
import { realtimeInputMessage } from './protocol.js';
import { Speaker } from './speaker.js';

/** @typedef {import('./events.js').LiveState} LiveState */
/**
 * @typedef {object} LiveSessionOptions
 * @property {import('./token-source.js').TokenSource} tokenSource
 * @property {Record<string, import('./tool-runner.js').Tool>} [tools] the functions that the model may call
 * @property {string} [deviceId] of the microphone
 */
/** Made before the click, thrown away at the end. @typedef {{mic: Mic, speaker: Speaker, link: Promise<NetLink>}} Parts */

export class LiveSession extends LiveEventTarget {
  #options;
  /** @type {LiveState} */
  #state = 'idle';
  /** @type {Parts | null} */
  #parts = null;
  /** @type {Run | null} */
  #run = null;
  #starts = 0;
  #muted = false;
  #volume = 1;
  #inputLevel = 0;
  #diagnostics = new Diagnostics();
  #leave = () => void this.end();

  /** @param {LiveSessionOptions} options */
  constructor(options) {
    super();
    this.#options = options;
  }

  get state() {
    return this.#state;
  }

  get muted() {
    return this.#muted;
  }

  /** The figures so far; a copy. */
  diagnostics() {
    return this.#diagnostics.snapshot();
  }

  /** Starts the worker and compiles the worklets, so that the click has less to wait for. Optional. */
  async prepare() {
    try {
      const { mic, speaker, link } = this.#build();
      await Promise.all([mic.prepared, speaker.prepared, link]);
    } catch (cause) {
      // Parts that did not load would fail the next start too, when the network may be back.
      if (!this.#run) this.#release(LiveError.aborted());
      throw LiveError.from(cause, 'unsupported');
    }
  }

  /**
   * Call it inside a click. Token, microphone and audio start side by side; resolves when all of them are up.
   * @param {{microphone?: boolean}} [options] without a microphone the conversation is typed and heard
   */
  async start({ microphone = true } = {}) {
    if (this.#run) throw new LiveError({ reason: 'aborted', detail: 'A conversation is running already.' });
    this.#starts += 1;
    const run = new Run();
    this.#run = run;
    this.#diagnostics = new Diagnostics(epochNow());
    this.#setState('connecting');
    try {
      // Up to this await all happens inside the click: only there do iOS and the autoplay rules listen.
      await Promise.race([run.stopped, this.#bringUp(run, microphone)]);
    } catch (cause) {
      const error = LiveError.from(cause, 'unsupported');
      if (this.#run === run) this.#fail(error);
      throw error;
    }
    run.up = true;
    this.#refresh();
    this.#emitDiagnostics();
  }

  /** @param {string} text */
  sendText(text) {
    this.#run?.net?.post({ type: 'send', message: realtimeInputMessage({ text }) });
    this.#run?.conversation?.asked();
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.#muted = muted;
    this.#parts?.mic.setMuted(muted);
    this.#run?.net?.post({ type: 'mute', muted });
  }

  /** @param {number} volume 0..1 */
  setVolume(volume) {
    this.#volume = volume;
    this.#parts?.speaker.setVolume(volume);
  }

  /** From any state: closes the connection, gives back microphone, audio contexts and the broker's session. */
  async end() {
    const run = this.#run;
    this.#release(LiveError.aborted());
    if (this.#state !== 'idle') this.#setState('ended');
    await run?.lease?.end();
  }

  /** @returns {Parts} */
  #build() {
    if (this.#parts) return this.#parts;
    const mic = new Mic();
    const speaker = new Speaker();
    const link = NetLink.open();
    link.catch(() => {}); // told by whoever awaits it
    speaker.setVolume(this.#volume);
    return (this.#parts = { mic, speaker, link });
  }

  /** @param {Run} run @param {boolean} microphone */
  async #bringUp(run, microphone) {
    const parts = this.#build();
    const { mic, speaker } = parts;
    speaker.resume();
    run.conversation = this.#converse(run, speaker);
    const playback = new MessageChannel();
    const steps = [speaker.open(playback.port1)];
    const ports = { playback: playback.port2 };
    if (microphone) {
      const capture = new MessageChannel();
      Object.assign(ports, { capture: capture.port2 });
      mic.resume();
      steps.push(this.#listen(run, mic, capture.port1));
    }
    steps.push(this.#dial(run, parts.link, ports));
    await Promise.all(steps);
  }

  /** @param {Run} run @param {Mic} mic @param {MessagePort} port */
  async #listen(run, mic, port) {
    mic.setMuted(this.#muted);
    mic.onlost = (error) => this.#fail(error);
    mic.onreport = (report) => {
      this.#diagnostics.captured(report);
      if (report.type === 'level') this.#inputLevel = report.rms;
    };
    await mic.open(port, this.#options.deviceId);
    if (this.#run === run) this.#diagnostics.microphone(mic.settings, epochNow());
  }

  /** @param {Run} run @param {Promise<NetLink>} link @param {{playback: MessagePort, capture?: MessagePort}} ports */
  async #dial(run, link, ports) {
    const { tokenSource } = this.#options;
    const [net, plan] = await Promise.all([link, tokenSource.describe({ signal: run.signal })]);
    if (run.signal.aborted) return;
    run.net = net;
    this.#diagnostics.onThread(net.thread);
    net.onreport = (report) => this.#hear(run, plan, report);
    net.post({ type: 'start', plan, ...ports, muted: this.#muted }, Object.values(ports));
    await run.ready;
  }

  /** @param {Run} run @param {Speaker} speaker */
  #converse(run, speaker) {
    const surroundings = {
      emit: this.emit.bind(this),
      send: (/** @type {Record<string, any>} */ message) => run.net?.post({ type: 'send', message }),
      changed: () => this.#refresh(),
      audible: () => speaker.running,
      diagnostics: this.#diagnostics,
    };
    const conversation = new Conversation(surroundings, this.#options.tools ?? {}, `start${this.#starts}`);
    speaker.onreport = (report) => {
      conversation.played(report);
      if (report.type === 'meter') this.emit('levels', { input: this.#inputLevel, output: report.rms });
      else {
        this.#diagnostics.played(report, speaker);
        this.#emitDiagnostics();
      }
    };
    return conversation;
  }

  /**
   * What the network side reports.
   * @param {Run} run
   * @param {import('./token-source.js').TokenPlan} plan
   * @param {import('./net-core.js').NetReport} report
   */
  #hear(run, plan, report) {
    if (report.type === 'message') run.conversation?.receive(report.message, report);
    else if (report.type === 'failed') this.#fail(new LiveError(report.error));
    else if (report.type === 'uplink') {
      this.#diagnostics.sent(report);
      this.#emitDiagnostics();
    } else if (report.type !== 'hello') {
      this.#diagnostics.mark(report.type, report.at);
      if (report.type === 'granted' && report.session && 'request' in plan) {
        run.lease = new BrokerSession(plan.request, report.session.id);
      }
      if (report.type === 'ready') run.setReady();
    }
  }

  #refresh() {
    const run = this.#run;
    if (run?.up && run.conversation) this.#setState(run.conversation.state);
  }

  /** @param {LiveError} error */
  #fail(error) {
    const lease = this.#run?.lease;
    this.#release(error);
    void lease?.end();
    this.#setState('error', error);
    this.emit('error', { error });
  }

  /** @param {LiveError} why what a start that is under way rejects with */
  #release(why) {
    const run = this.#run;
    const parts = this.#parts;
    this.#run = null;
    this.#parts = null;
    this.#inputLevel = 0;
    globalThis.removeEventListener?.('pagehide', this.#leave);
    run?.stop(why);
    parts?.mic.close();
    parts?.speaker.close();
    parts?.link.then((link) => link.close()).catch(() => {});
  }

  /** @param {LiveState} state @param {LiveError} [error] */
  #setState(state, error) {
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    if (state === 'connecting') globalThis.addEventListener?.('pagehide', this.#leave);
    this.emit('statechange', { state, previous, error });
  }

  #emitDiagnostics() {
    this.emit('diagnostics', this.diagnostics());
  }
}

/** One start until its end. */
class Run {
  #controller = new AbortController();
  /** Everything is there: states follow the conversation from now on. */
  up = false;
  /** @type {NetLink | null} */
  net = null;
  /** @type {BrokerSession | null} */
  lease = null;
  /** @type {Conversation | null} */
  conversation = null;
  setReady = () => {};
  /** @type {Promise<void>} */
  ready = new Promise((resolve) => (this.setReady = () => resolve()));
  /** @type {(error: LiveError) => void} */
  #reject = () => {};
  /** Rejects when the run is stopped. @type {Promise<never>} */
  stopped = new Promise((_resolve, reject) => (this.#reject = reject));

  constructor() {
    this.stopped.catch(() => {}); // nobody listens once the start is over
  }

  get signal() {
    return this.#controller.signal;
  }

  /** @param {LiveError} why */
  stop(why) {
    this.#controller.abort(why);
    this.conversation?.stop();
    if (this.net) this.net.onreport = () => {};
    this.#reject(why);
  }
}
