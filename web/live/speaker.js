/**
 * The loudspeaker: playback context at the wire's rate, playback worklet, volume. Owns: context and nodes.
 * Needs scripts.js, pcm.js. Leaves what to play when to the worklet; the network side holds the other port.
 */
import { OUTPUT_RATE } from './pcm.js';
import { scriptUrl } from './scripts.js';

/**
 * @typedef {import('./playback-engine.js').PlaybackEvent & {at: number}
 *   | {type: 'stray'}
 *   | {type: 'meter', rms: number, turn: number, played: number}} PlaybackReport
 */

export class Speaker {
  #context;
  #module;
  #gain;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  /** @type {(report: PlaybackReport) => void} */
  onreport = () => {};

  constructor() {
    // At 24 kHz the engine resamples once, to the device; no MediaStream enters here, so Firefox agrees.
    this.#context = new AudioContext({ sampleRate: OUTPUT_RATE });
    this.#module = this.#context.audioWorklet.addModule(scriptUrl('./worklets/playback-processor.js'));
    this.#module.catch(() => {}); // told by open()
    this.#gain = this.#context.createGain();
    this.#gain.connect(this.#context.destination);
  }

  /** Resolves when the worklet is compiled. */
  get prepared() {
    return this.#module;
  }

  get running() {
    return this.#context.state === 'running';
  }

  /** Seconds between a rendered sample and the ear, as far as the browser knows. */
  get latencySeconds() {
    return (this.#context.baseLatency || 0) + (this.#context.outputLatency || 0);
  }

  /** Times that the device ran out of samples, where the browser counts them; ours are counted in the worklet. */
  get deviceUnderruns() {
    const { playbackStats } = /** @type {{playbackStats?: {underrunEvents?: number}}} */ (this.#context);
    return playbackStats?.underrunEvents ?? null;
  }

  /** Call it inside the click, before any await: iOS listens only there. */
  resume() {
    this.#context.resume().catch(() => {});
  }

  /** @param {MessagePort} port where the network side sends sound and cuts */
  async open(port) {
    await this.#module;
    if (this.#context.state === 'closed') return;
    this.#node = new AudioWorkletNode(this.#context, 'live-playback', {
      numberOfInputs: 0,
      numberOfOutputs: 1,
      outputChannelCount: [1],
    });
    this.#node.port.onmessage = ({ data }) => this.onreport(data);
    this.#node.port.postMessage({ port }, [port]);
    this.#node.connect(this.#gain);
  }

  /** @param {number} volume 0..1 */
  setVolume(volume) {
    // A jump of the gain would click.
    this.#gain.gain.setTargetAtTime(volume, this.#context.currentTime, 0.01);
  }

  close() {
    this.#node?.disconnect();
    this.#node?.port.close();
    void this.#context.close().catch(() => {});
  }
}
