/**
 * An AudioContext with one worklet. Keeps it running through calls, locked screens, hidden pages and other apps, and
 * creates it again when it cannot recover. Leaves the audio to its subclasses, mic.js and speaker.js.
 *
 * iOS puts a context into the state `interrupted`, in which `resume()` does harm: the context then reports "running" while
 * its clock stands still. So in that state this class waits for the system, for the page's return or for a touch.
 * A context that starts to run has to show that its clock moves.
 */
import { LiveError } from '../shared/errors.js';
import { trustedUrl } from '../shared/trusted-url.js';

/** A clock that has not moved after this time will not move. */
const CLOCK_CHECK_MS = 500;
/** If this many contexts in a row stand still, the context is not the cause. */
const MAX_REBUILDS = 3;
/** After these events a browser may let a context run that it did not allow before. */
const RESUME_EVENTS = ['click', 'touchend', 'keydown', 'visibilitychange', 'pageshow'];

/**
 * @typedef {object} WorkletKind
 * @property {URL} script
 * @property {string} name of the worklet
 * @property {AudioWorkletNodeOptions} node
 * @property {() => AudioContext} createContext
 */

/** @template Report the worklet's messages */
export class WorkletHost {
  #kind;
  #wanted = false;
  #interrupted = false;
  #rebuilds = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #clockCheck;
  /** @type {(() => MessagePort) | null} */
  #recordTo = null;
  #controller = new AbortController();
  /** Aborted when the host is closed. */
  signal = this.#controller.signal;
  /** @type {AudioWorkletNode | null} */
  node = null;
  /** @type {(report: Report) => void} */
  onreport = () => {};
  /** @type {(reason: import('../shared/events.js').DeviceReason) => void} */
  ondevice = () => {};
  /** The audio cannot be recovered. @type {(error: LiveError) => void} */
  onlost = () => {};
  /** The worklet was created again: its port for the network. @type {(port: MessagePort) => void} */
  onport = () => {};

  /** @param {WorkletKind} kind */
  constructor(kind) {
    this.#kind = kind;
    this.context = this.#createContext();
    this.prepared = this.#loadWorklet();
    for (const type of RESUME_EVENTS) globalThis.addEventListener?.(type, this.#resume, { signal: this.signal });
  }

  /** The context runs, or is only suspended and will run when audio comes. */
  get running() {
    return this.context.state === 'running' || !this.#wanted;
  }

  /** Keeps the context running from now on. Make the first call inside a click, before any await: iOS requires it. */
  resume() {
    this.#wanted = true;
    this.#resume();
  }

  /** Saves the battery, and a headset's radio, until the next `resume()`. */
  suspend() {
    this.#wanted = false;
    this.context.suspend().catch(() => {});
  }

  /** Creates the worklet node. @param {MessagePort} port the network has the other end */
  connect(port) {
    const { name, node: options } = this.#kind;
    this.node = new AudioWorkletNode(this.context, name, options);
    this.node.port.onmessage = ({ data }) => this.receive(data);
    this.node.onprocessorerror = () =>
      this.onlost(new LiveError({ reason: 'unsupported', detail: 'The audio failed.' }));
    this.node.port.postMessage({ port }, [port]);
    if (this.#recordTo) this.#postRecordPort();
  }

  /** @param {Report} report */
  receive(report) {
    this.onreport(report);
  }

  /** Sends this voice to a recorder too. @param {(() => MessagePort) | null} recordTo gives a new port each time; null: stop */
  record(recordTo) {
    this.#recordTo = recordTo;
    this.#postRecordPort();
  }

  /** Creates context and worklet again, with a new port. Audio that was queued in the old one is lost. */
  async rebuild() {
    if (this.signal.aborted || !this.node) return;
    this.#drop();
    this.context = this.#createContext();
    this.prepared = this.#loadWorklet();
    const { prepared } = this;
    this.#resume();
    await this.restored();
    await prepared;
    if (this.signal.aborted || prepared !== this.prepared) return;
    const { port1, port2 } = new MessageChannel();
    this.connect(port1);
    this.onport(port2);
    this.#recovered();
  }

  /** For subclasses: gives a new context the state of the old one. */
  async restored() {}

  close() {
    this.#wanted = false;
    this.#controller.abort();
    this.#drop();
  }

  #createContext() {
    const context = this.#kind.createContext();
    context.onstatechange = () => this.#onStateChange();
    return context;
  }

  #loadWorklet() {
    const { audioWorklet } = this.context;
    const module = audioWorklet
      ? audioWorklet.addModule(trustedUrl(this.#kind.script))
      : Promise.reject(new LiveError({ reason: 'unsupported', detail: 'Voice needs https.' }));
    module.catch(() => {}); // the code that awaits it reports the failure
    return module;
  }

  #drop() {
    clearTimeout(this.#clockCheck);
    this.node?.disconnect();
    this.node?.port.close();
    this.context.onstatechange = null;
    this.context.close().catch(() => {});
  }

  #postRecordPort() {
    const tapPort = this.#recordTo?.() ?? null;
    this.node?.port.postMessage({ tapPort }, tapPort ? [tapPort] : []);
  }

  #resume = () => {
    if (this.#wanted && this.context.state === 'suspended') this.context.resume().catch(() => {});
  };

  #onStateChange() {
    const state = /** @type {string} */ (this.context.state);
    clearTimeout(this.#clockCheck);
    if (!this.#wanted) return;
    if (state === 'interrupted') {
      if (!this.#interrupted) this.ondevice('interrupted');
      this.#interrupted = true;
    } else if (state === 'suspended') this.#resume();
    else if (state === 'running') {
      const { currentTime } = this.context;
      this.#clockCheck = setTimeout(() => this.#checkClock(currentTime), CLOCK_CHECK_MS);
    }
  }

  /** @param {number} since */
  #checkClock(since) {
    const { state, currentTime } = this.context;
    if (state !== 'running') return;
    if (currentTime > since) this.#recovered();
    else if (this.#rebuilds++ < MAX_REBUILDS) {
      this.rebuild().catch((cause) => this.onlost(LiveError.from(cause, 'unsupported')));
    }
  }

  #recovered() {
    if (this.#interrupted) this.ondevice('resumed');
    this.#interrupted = false;
  }
}
