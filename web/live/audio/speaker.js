/**
 * The loudspeaker: an audio context at the wire's rate with the playback worklet, its volume and its device.
 * Leaves it to the worklet what plays when. The network holds the worklet's other port.
 */
import { METER_HZ, OUTPUT_RATE } from '../shared/pcm.js';
import { WorkletHost } from './worklet-host.js';

/** @typedef {import('../shared/audio-messages.js').PlaybackReport} PlaybackReport */
/** @typedef {AudioContext & {setSinkId?: (id: string) => Promise<void>}} RoutedContext Chromium can choose the device */

/** 30 s of silence, counted in the worklet's reports, because a page's timers are not reliable. */
const IDLE_REPORTS = 30 * METER_HZ;

/** @extends {WorkletHost<PlaybackReport>} */
export class Speaker extends WorkletHost {
  /** @type {GainNode | null} */
  #gain = null;
  #volume = 1;
  #silentReports = 0;
  /** The chosen device; '' is the system's own. */
  sink = '';

  constructor() {
    super({
      script: new URL('./worklets/playback-processor.js', import.meta.url),
      name: 'live-playback',
      node: { numberOfInputs: 0, numberOfOutputs: 1, outputChannelCount: [1] },
      // At 24 kHz the engine resamples once, to the device. No MediaStream is connected, so Firefox accepts the rate.
      createContext: () => new AudioContext({ sampleRate: OUTPUT_RATE }),
    });
  }

  /** Nothing is rendered now, not even silence. */
  get suspended() {
    return this.context.state !== 'running';
  }

  /** Seconds between a rendered sample and the ear, as far as the browser knows. */
  get latencySeconds() {
    const { baseLatency, outputLatency } = this.context;
    return (baseLatency || 0) + (outputLatency || 0);
  }

  /** How often the device ran out of samples, where the browser counts it. The worklet counts our own underruns. */
  get deviceUnderruns() {
    const { playbackStats } = /** @type {{playbackStats?: {underrunEvents?: number}}} */ (this.context);
    return playbackStats?.underrunEvents ?? null;
  }

  resume() {
    this.#silentReports = 0;
    super.resume();
  }

  /** @param {MessagePort} port the network sends audio and interruptions through it */
  async open(port) {
    await this.prepared;
    if (!this.signal.aborted) this.connect(port);
  }

  /** @param {MessagePort} port */
  connect(port) {
    super.connect(port);
    this.#gain = this.context.createGain();
    this.#gain.gain.value = this.#volume;
    this.node?.connect(this.#gain);
    this.#gain.connect(this.context.destination);
  }

  /** @param {number} volume 0 to 1 */
  setVolume(volume) {
    this.#volume = volume;
    // A sudden change of the gain would click.
    this.#gain?.gain.setTargetAtTime(volume, this.context.currentTime, 0.01);
  }

  /** Rejects when the device is not available. @param {string} deviceId '' is the system's own */
  async setSink(deviceId) {
    await routeTo(this.context, deviceId);
    this.sink = deviceId;
  }

  /** The chosen device is gone. */
  async useSystem() {
    await this.setSink('').catch(() => {});
    this.ondevice('lost');
  }

  async restored() {
    if (this.sink) await this.setSink(this.sink).catch(() => this.useSystem());
  }

  /** @param {PlaybackReport} report */
  receive(report) {
    this.#silentReports = report.type === 'meter' && report.rms === 0 ? this.#silentReports + 1 : 0;
    if (this.#silentReports === IDLE_REPORTS) this.suspend();
    super.receive(report);
  }
}

/** @param {AudioContext} context @param {string} deviceId */
export async function routeTo(context, deviceId) {
  const routed = /** @type {RoutedContext} */ (context);
  if (routed.setSinkId) await routed.setSinkId(deviceId);
  else if (deviceId) throw new TypeError('This browser cannot change the loudspeaker.');
}
