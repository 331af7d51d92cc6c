/**
 * The playback worklet: turns of PCM16 in from the network, sound out. Reports to the page what was heard and when.
 * Leaves every decision to ../playback-engine.js.
 */
import { METER_HZ, OUTPUT_RATE, RmsMeter } from '../../shared/pcm.js';
import { PlaybackEngine } from '../playback-engine.js';
import { RecordingTap } from '../recording-tap.js';

class PlaybackProcessor extends AudioWorkletProcessor {
  #engine = new PlaybackEngine((event) => this.port.postMessage({ ...event, at: Date.now() }));
  #meter = new RmsMeter();
  #tap = new RecordingTap(OUTPUT_RATE / 10);

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.port) data.port.onmessage = (/** @type {MessageEvent} */ event) => this.#handle(event.data);
      else this.#tap.sendTo(data.tapPort);
    };
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, outputs) {
    const out = outputs[0][0];
    this.#engine.render(out);
    this.#meter.add(out);
    this.#tap.write(currentFrame, out, out.length);
    if (this.#meter.count >= sampleRate / METER_HZ) {
      const { turn, played } = this.#engine;
      this.port.postMessage({ type: 'meter', rms: this.#meter.take(), turn, played });
    }
    return true;
  }

  /** @param {any} message from the network: audio, the end of a turn, or an interruption */
  #handle(message) {
    if (message.type === 'audio') {
      this.#engine.push(message.samples, message.turn, message.receivedAt);
      if (message.stray) this.port.postMessage({ type: 'stray' });
    } else if (message.type === 'finish') this.#engine.finish(message.turn);
    else this.#engine.cut(message.turn, message.receivedAt);
  }
}

registerProcessor('live-playback', PlaybackProcessor);
