/**
 * The loudspeaker: playback context at the wire's rate, playback worklet, volume, choice of device. Owns: context
 * and nodes. Needs context-keeper.js, scripts.js, pcm.js. Leaves what to play when to the worklet; the network side
 * holds the other port.
 */
import { ContextKeeper, MOST_REBUILDS } from './context-keeper.js';
import { OUTPUT_RATE } from './pcm.js';
import { scriptUrl } from './scripts.js';

/**
 * @typedef {import('./playback-engine.js').PlaybackEvent & {at: number}
 *   | {type: 'stray'}
 *   | {type: 'meter', rms: number, turn: number, played: number}} PlaybackReport
 */
/** Chromium can send a context's sound to a chosen device. @typedef {AudioContext & {setSinkId?: (id: string) => Promise<void>}} Routed */

/** 30 s of silence, counted by the worklet's meter, twenty reports a second: a page's timers are not to be relied on. */
const IDLE_REPORTS = 600;

export class Speaker {
  #keeper;
  #module;
  #gain;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {(() => MessagePort) | null} */
  #tap = null;
  #volume = 1;
  #sink = '';
  #quiet = 0;
  #closed = false;
  #rebuilds = 0;
  /** @type {(report: PlaybackReport) => void} */
  onreport = () => {};
  /** @type {(reason: 'interrupted' | 'resumed') => void} */
  ondevice = () => {};
  /** The worklet was built anew: sound goes there now. @type {(port: MessagePort) => void} */
  onport = () => {};

  constructor() {
    [this.#keeper, this.#gain] = this.#prepare();
    this.#module = this.#load();
  }

  /** Resolves when the worklet is compiled. */
  get prepared() {
    return this.#module;
  }

  /** Whether sound will be heard; also while it rests between answers. */
  get running() {
    return this.#keeper.alive;
  }

  /** Nothing is rendered now, silence included. */
  get resting() {
    return this.#keeper.context.state !== 'running';
  }

  /** Seconds between a rendered sample and the ear, as far as the browser knows. */
  get latencySeconds() {
    const { baseLatency, outputLatency } = this.#keeper.context;
    return (baseLatency || 0) + (outputLatency || 0);
  }

  /** Times that the device ran out of samples, where the browser counts them; ours are counted in the worklet. */
  get deviceUnderruns() {
    const { playbackStats } = /** @type {{playbackStats?: {underrunEvents?: number}}} */ (this.#keeper.context);
    return playbackStats?.underrunEvents ?? null;
  }

  /** Call it inside the click, before any await; later whenever sound is about to come. */
  resume() {
    this.#quiet = 0;
    this.#keeper.resume();
  }

  /** @param {MessagePort} port where the network side sends sound and cuts */
  async open(port) {
    await this.#module;
    if (!this.#closed) this.#join(port);
  }

  /** @param {number} volume 0..1 */
  setVolume(volume) {
    this.#volume = volume;
    // A jump of the gain would click.
    this.#gain.gain.setTargetAtTime(volume, this.#keeper.context.currentTime, 0.01);
  }

  /** The chosen device, '' for the system's own. */
  get sink() {
    return this.#sink;
  }

  /** Rejects when the device is not there. @param {string} deviceId '' for the system's own */
  async setSink(deviceId) {
    await routeTo(this.#keeper.context, deviceId);
    this.#sink = deviceId;
  }

  /** Where a recorder takes this voice from; null: nowhere. @param {(() => MessagePort) | null} tap a new end each time */
  tap(tap) {
    this.#tap = tap;
    this.#sendTap();
  }

  close() {
    this.#closed = true;
    this.#drop();
  }

  /** @returns {[ContextKeeper, GainNode]} */
  #prepare() {
    // At 24 kHz the engine resamples once, to the device; no MediaStream enters here, so Firefox agrees.
    const context = new AudioContext({ sampleRate: OUTPUT_RATE });
    const gain = context.createGain();
    gain.connect(context.destination);
    const keeper = new ContextKeeper(context);
    keeper.onchange = (reason) => this.ondevice(reason);
    keeper.onfrozen = () => {
      if (this.#rebuilds++ < MOST_REBUILDS) void this.#rebuild();
    };
    return [keeper, gain];
  }

  #load() {
    const module = this.#keeper.context.audioWorklet.addModule(scriptUrl('./worklets/playback-processor.js'));
    module.catch(() => {}); // told by open()
    return module;
  }

  /** @param {MessagePort} port */
  #join(port) {
    this.#node = new AudioWorkletNode(this.#keeper.context, 'live-playback', {
      numberOfInputs: 0,
      numberOfOutputs: 1,
      outputChannelCount: [1],
    });
    this.#node.port.onmessage = ({ data }) => this.#report(data);
    this.#node.port.postMessage({ port }, [port]);
    if (this.#tap) this.#sendTap();
    this.#node.connect(this.#gain);
  }

  /** @param {PlaybackReport} report */
  #report(report) {
    this.#quiet = report.type === 'meter' && report.rms === 0 ? this.#quiet + 1 : 0;
    if (this.#quiet === IDLE_REPORTS) this.#keeper.park();
    this.onreport(report);
  }

  /** Another context and worklet on a new port; what was queued in the old one is lost. */
  async #rebuild() {
    if (this.#closed || !this.#node) return;
    this.#drop();
    [this.#keeper, this.#gain] = this.#prepare();
    const module = (this.#module = this.#load());
    this.setVolume(this.#volume);
    this.resume();
    await Promise.allSettled([module, this.#sink && this.setSink(this.#sink)]);
    if (this.#closed || module !== this.#module) return;
    const { port1, port2 } = new MessageChannel();
    this.#join(port1);
    this.onport(port2);
    this.ondevice('resumed');
  }

  #sendTap() {
    const port = this.#tap?.() ?? null;
    this.#node?.port.postMessage({ tap: port }, port ? [port] : []);
  }

  #drop() {
    this.#node?.disconnect();
    this.#node?.port.close();
    this.#keeper.close();
  }
}

/** @param {AudioContext} context @param {string} deviceId */
export async function routeTo(context, deviceId) {
  const routed = /** @type {Routed} */ (context);
  if (routed.setSinkId) await routed.setSinkId(deviceId);
  else if (deviceId) throw new TypeError('This browser does not let a page choose the loudspeaker.');
}
