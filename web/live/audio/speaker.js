/**
 * The loudspeaker: a context at the wire's rate with the playback worklet, volume, choice of device. Owns: the last two.
 * Needs worklet-host.js, pcm.js. Leaves what to play when to the worklet; the network side holds the other port.
 */
import { OUTPUT_RATE } from '../shared/pcm.js';
import { WorkletHost } from './worklet-host.js';

/**
 * @typedef {import('./playback-engine.js').PlaybackEvent & {at: number}
 *   | {type: 'stray'}
 *   | {type: 'meter', rms: number, turn: number, played: number}} PlaybackReport
 */
/** Chromium can send a context's sound to a chosen device. @typedef {AudioContext & {setSinkId?: (id: string) => Promise<void>}} Routed */

/** 30 s of silence, counted by the worklet's meter, twenty reports a second: a page's timers are not to be relied on. */
const IDLE_REPORTS = 600;

/** @extends {WorkletHost<PlaybackReport>} */
export class Speaker extends WorkletHost {
  /** @type {GainNode | null} */
  #gain = null;
  #volume = 1;
  #quiet = 0;
  /** The chosen device, '' for the system's own. */
  sink = '';
  label = '';

  constructor() {
    super({
      script: '../audio/worklets/playback-processor.js',
      name: 'live-playback',
      node: { numberOfInputs: 0, numberOfOutputs: 1, outputChannelCount: [1] },
      // At 24 kHz the engine resamples once, to the device; no MediaStream enters here, so Firefox agrees.
      open: () => new AudioContext({ sampleRate: OUTPUT_RATE }),
    });
  }

  /** Nothing is rendered now, silence included. */
  get resting() {
    return this.context.state !== 'running';
  }

  /** Seconds between a rendered sample and the ear, as far as the browser knows. */
  get latencySeconds() {
    const { baseLatency, outputLatency } = this.context;
    return (baseLatency || 0) + (outputLatency || 0);
  }

  /** Times that the device ran out of samples, where the browser counts them; ours are counted in the worklet. */
  get deviceUnderruns() {
    const { playbackStats } = /** @type {{playbackStats?: {underrunEvents?: number}}} */ (this.context);
    return playbackStats?.underrunEvents ?? null;
  }

  resume() {
    this.#quiet = 0;
    super.resume();
  }

  /** @param {MessagePort} port where the network side sends sound and cuts */
  async open(port) {
    await this.prepared;
    if (!this.closed) this.join(port);
  }

  /** @param {MessagePort} port */
  join(port) {
    super.join(port);
    this.#gain = this.context.createGain();
    this.#gain.gain.value = this.#volume;
    this.node?.connect(this.#gain);
    this.#gain.connect(this.context.destination);
  }

  /** @param {number} volume 0..1 */
  setVolume(volume) {
    this.#volume = volume;
    // A jump of the gain would click.
    this.#gain?.gain.setTargetAtTime(volume, this.context.currentTime, 0.01);
  }

  /** Rejects when the device is not there. @param {string} deviceId '' for the system's own */
  async setSink(deviceId) {
    await routeTo(this.context, deviceId);
    this.sink = deviceId;
  }

  async settled() {
    if (this.sink) await this.setSink(this.sink).catch(() => {});
  }

  /** @param {PlaybackReport} report */
  hear(report) {
    this.#quiet = report.type === 'meter' && report.rms === 0 ? this.#quiet + 1 : 0;
    if (this.#quiet === IDLE_REPORTS) this.park();
    super.hear(report);
  }
}

/** @param {AudioContext} context @param {string} deviceId */
export async function routeTo(context, deviceId) {
  const routed = /** @type {Routed} */ (context);
  if (routed.setSinkId) await routed.setSinkId(deviceId);
  else if (deviceId) throw new TypeError('This browser does not let a page choose the loudspeaker.');
}
