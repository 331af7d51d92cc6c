/**
 * One start of a LiveSession until its end, as the page sees it: what the network side reports becomes events, figures and
 * the conversation's; what it asks is answered.
 *
 * Owns: the broker's session and the line's state while it lasts. Needs broker-session.js, errors.js.
 * Leaves starting, ending and the order of states to live-session.js.
 */
import { BrokerSession } from './network/broker-session.js';
import { LiveError } from './shared/errors.js';

/** @typedef {import('./shared/events.js').LiveEvents} LiveEvents */
/**
 * @typedef {object} Surroundings
 * @property {<K extends keyof LiveEvents>(type: K, detail: LiveEvents[K]) => void} emit
 * @property {() => import('./audio/audio-io.js').AudioIO | undefined} audio
 * @property {() => void} changed the state may be another one now
 * @property {(error: LiveError) => void} failed
 */

export class SessionRun {
  #tokenSource;
  #diagnostics;
  #out;
  #controller = new AbortController();
  /** Everything is there: states follow the conversation from now on. */
  up = false;
  /** The line is down, and not as planned. */
  reconnecting = false;
  endsAt = Infinity;
  /** @type {import('./network/network-client.js').NetworkClient | null} */
  net = null;
  /** @type {BrokerSession | null} */
  lease = null;
  /** @type {import('./conversation/conversation.js').Conversation | null} */
  conversation = null;
  #setReady = () => {};
  /** @type {Promise<void>} */
  ready = new Promise((resolve) => (this.#setReady = () => resolve()));
  /** @type {(error: LiveError) => void} */
  #reject = () => {};
  /** Rejects when the run is stopped. @type {Promise<never>} */
  stopped = new Promise((_resolve, reject) => (this.#reject = reject));

  /**
   * @param {import('./network/token-source.js').TokenSource} tokenSource
   * @param {import('./shared/diagnostics.js').Diagnostics} diagnostics
   * @param {Surroundings} out
   */
  constructor(tokenSource, diagnostics, out) {
    this.#tokenSource = tokenSource;
    this.#diagnostics = diagnostics;
    this.#out = out;
    this.stopped.catch(() => {}); // nobody listens once the start is over
  }

  get signal() {
    return this.#controller.signal;
  }

  /** @param {import('./network/network-client.js').NetworkClient} net @param {import('./network/token-source.js').TokenPlan} plan how the first token is got */
  join(net, plan) {
    this.net = net;
    this.#diagnostics.onThread(net.thread);
    net.onreport = (report) => this.#hear(plan, report);
  }

  /** @param {LiveError} why */
  stop(why) {
    this.#controller.abort(why);
    this.conversation?.stop();
    if (this.net) this.net.onreport = () => {};
    this.#reject(why);
  }

  /**
   * What the network side reports.
   * @param {import('./network/token-source.js').TokenPlan} plan
   * @param {import('./network/network-session.js').NetworkReport} report
   */
  #hear(plan, report) {
    const { type } = report;
    if (type === 'message') {
      if (report.message.serverContent) this.#out.audio()?.expectSound();
      this.conversation?.receive(report.message, report);
    } else if (type === 'ask') void this.#answer(report);
    else if (type === 'failed') void this.#fail(report.error);
    else if (type === 'broken') this.conversation?.broken(report, report.calls);
    else if (type === 'reconnecting' || type === 'reconnected' || type === 'network' || type === 'clock') {
      this.#follow(report);
    } else if (type !== 'hello') {
      this.#diagnostics.mark(type, report.at);
      if (type === 'granted' && report.session && 'request' in plan) {
        this.lease = new BrokerSession(plan.request, report.session.id);
      }
      if (type === 'granted') {
        this.#out.audio()?.granted(report.manual);
        this.conversation?.meet(report.model, report.setup);
      }
      if (type === 'ready') this.#setReady();
    }
  }

  /** @param {import('./shared/errors.js').LiveErrorFields} fields */
  async #fail(fields) {
    const error = await new LiveError(fields).explained();
    if (!this.signal.aborted) this.#out.failed(error);
  }

  /**
   * What happens to the line becomes events and the state.
   * @param {Extract<import('./network/network-session.js').NetworkReport, {type: 'reconnecting' | 'reconnected' | 'network' | 'clock'}>} report
   */
  #follow(report) {
    const { type, ...detail } = report;
    if (report.type === 'clock') this.endsAt = report.endsAt;
    else if (report.type === 'network') this.#diagnostics.sent(report);
    else {
      this.reconnecting = report.type === 'reconnecting';
      if (report.type === 'reconnected') this.#diagnostics.reconnected(report);
      if (report.type === 'reconnected' && report.seeded) this.conversation?.forget();
      this.#out.changed();
    }
    this.#out.emit(type, /** @type {any} */ (detail));
    if (type !== 'clock') this.#out.emit('diagnostics', this.#diagnostics.snapshot());
  }

  /**
   * What the network side asks of the page.
   * @param {Extract<import('./network/network-session.js').NetworkReport, {type: 'ask'}>} question
   */
  async #answer({ id, what, detail }) {
    const answers = {
      plan: () => this.#tokenSource.describe({ signal: this.signal, ...detail }),
      seed: () => this.conversation?.seed(this.up, detail.typed) ?? [],
      report: () => this.#diagnostics.report(),
    };
    try {
      const value = /** @type {any} */ (await answers[what]());
      if (this.lease && value.request) this.lease.access = value.request;
      this.net?.post({ type: 'reply', id, value });
    } catch (cause) {
      this.net?.post({ type: 'reply', id, error: LiveError.from(cause, 'token-refused').toJSON() });
    }
  }
}
