/**
 * One end of the sound: an AudioContext with one worklet in it, kept running through what a system does to it (calls,
 * locked screens, hidden pages, other apps) and built anew when it cannot be.
 *
 * Owns: context and worklet node. Needs script-urls.js, errors.js. Leaves what comes in or goes out of them to mic.js and speaker.js.
 * iOS puts a context into `interrupted` and takes `resume()` there badly (it then says "running" with a clock that
 * stands still), so in that state this waits for the system, the page's return or a touch, and whatever begins to run
 * has to show that its clock moves.
 */
import { LiveError } from '../shared/errors.js';
import { scriptUrl } from '../shared/script-urls.js';

/** A clock that has not moved for so long will not. */
const CHECK_MS = 500;
/** Contexts that stand still one after the other: past that it is not the context. */
const MOST_REBUILDS = 3;
/** Moments at which a browser may let a context run that it did not before. */
const CHANCES = ['click', 'touchend', 'keydown', 'visibilitychange', 'pageshow'];

/**
 * @typedef {object} Kind
 * @property {Parameters<typeof scriptUrl>[0]} script
 * @property {string} name of the worklet
 * @property {AudioWorkletNodeOptions} node
 * @property {() => AudioContext} open
 */

/** @template Report what the worklet says */
export class WorkletHost {
  #kind;
  #wanted = false;
  #disturbed = false;
  #rebuilds = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #check;
  /** @type {(() => MessagePort) | null} */
  #tap = null;
  closed = false;
  /** @type {AudioWorkletNode | null} */
  node = null;
  /** @type {(report: Report) => void} */
  onreport = () => {};
  /** @type {(reason: import('./mic.js').DeviceReason) => void} */
  ondevice = () => {};
  /** It cannot be had any more. @type {(error: LiveError) => void} */
  onlost = () => {};
  /** The worklet was built anew: this is its port to the network side. @type {(port: MessagePort) => void} */
  onport = () => {};

  /** @param {Kind} kind */
  constructor(kind) {
    this.#kind = kind;
    this.context = this.#open();
    this.prepared = this.#load();
    for (const chance of CHANCES) globalThis.addEventListener?.(chance, this.#resume);
  }

  /** Runs, or is about to because it was only parked. */
  get running() {
    return this.context.state === 'running' || !this.#wanted;
  }

  /** From now on it is to run. The first call belongs inside a click, before any await: iOS listens only there. */
  resume() {
    this.#wanted = true;
    this.#resume();
  }

  /** Saves battery, and a headset its radio, until the next `resume()`. */
  park() {
    this.#wanted = false;
    this.context.suspend().catch(() => {});
  }

  /** @param {MessagePort} port the network side has the other one */
  join(port) {
    const { name, node: options } = this.#kind;
    this.node = new AudioWorkletNode(this.context, name, options);
    this.node.port.onmessage = ({ data }) => this.hear(data);
    this.node.onprocessorerror = () =>
      this.onlost(new LiveError({ reason: 'unsupported', detail: 'The processing of the sound failed.' }));
    this.node.port.postMessage({ port }, [port]);
    if (this.#tap) this.#sendTap();
  }

  /** What the worklet says. @param {Report} report */
  hear(report) {
    this.onreport(report);
  }

  /** Where a recorder takes this voice from; null: nowhere. @param {(() => MessagePort) | null} tap a new end each time */
  tap(tap) {
    this.#tap = tap;
    this.#sendTap();
  }

  /** Another context and worklet on a new port; what was queued in the old one is lost. */
  async rebuild() {
    if (this.closed || !this.node) return;
    this.#drop();
    this.context = this.#open();
    const prepared = (this.prepared = this.#load());
    this.#resume();
    await this.settled();
    await prepared;
    if (this.closed || prepared !== this.prepared) return;
    const { port1, port2 } = new MessageChannel();
    this.join(port1);
    this.onport(port2);
    this.#undisturbed();
  }

  /** The new context is as the old one was. */
  async settled() {}

  close() {
    this.closed = true;
    this.#wanted = false;
    for (const chance of CHANCES) globalThis.removeEventListener?.(chance, this.#resume);
    this.#drop();
  }

  #open() {
    const context = this.#kind.open();
    context.onstatechange = () => this.#follow();
    return context;
  }

  #load() {
    const module = this.context.audioWorklet.addModule(scriptUrl(this.#kind.script));
    module.catch(() => {}); // told by whoever awaits it
    return module;
  }

  #drop() {
    clearTimeout(this.#check);
    this.node?.disconnect();
    this.node?.port.close();
    this.context.onstatechange = null;
    this.context.close().catch(() => {});
  }

  #sendTap() {
    const port = this.#tap?.() ?? null;
    this.node?.port.postMessage({ tap: port }, port ? [port] : []);
  }

  #resume = () => {
    if (this.#wanted && this.context.state === 'suspended') this.context.resume().catch(() => {});
  };

  #follow() {
    const state = /** @type {string} */ (this.context.state);
    clearTimeout(this.#check);
    if (!this.#wanted) return;
    if (state === 'interrupted') {
      if (!this.#disturbed) this.ondevice('interrupted');
      this.#disturbed = true;
    } else if (state === 'suspended') this.#resume();
    else if (state === 'running') {
      const { currentTime } = this.context;
      this.#check = setTimeout(() => this.#verify(currentTime), CHECK_MS);
    }
  }

  /** @param {number} since */
  #verify(since) {
    const { state, currentTime } = this.context;
    if (state !== 'running') return;
    if (currentTime > since) this.#undisturbed();
    else if (this.#rebuilds++ < MOST_REBUILDS) {
      this.rebuild().catch((cause) => this.onlost(LiveError.from(cause, 'unsupported')));
    }
  }

  #undisturbed() {
    if (this.#disturbed) this.ondevice('resumed');
    this.#disturbed = false;
  }
}
