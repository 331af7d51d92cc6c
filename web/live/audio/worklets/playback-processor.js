/**
 * Playback worklet: turns of PCM16 in from the network side, sound out; tells the page what was heard.
 *
 * Owns: the ports, the output meter and the times of events. Needs ../playback-engine.js, which decides everything.
 */
import { OUTPUT_RATE, RmsMeter } from '../../shared/pcm.js';
import { PlaybackEngine } from '../playback-engine.js';
import { RecordingTap } from '../recording-tap.js';

class PlaybackProcessor extends AudioWorkletProcessor {
  #engine = new PlaybackEngine((event) => this.port.postMessage({ ...event, at: Date.now() }));
  #meter = new RmsMeter();
  #tap = new RecordingTap(OUTPUT_RATE / 10);

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.port) data.port.onmessage = (/** @type {MessageEvent} */ event) => this.#obey(event.data);
      else this.#tap.to(data.tap);
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
    if (this.#meter.count >= sampleRate / 20) {
      const { turn, played } = this.#engine;
      this.port.postMessage({ type: 'meter', rms: this.#meter.take(), turn, played });
    }
    return true;
  }

  /** @param {any} order */
  #obey(order) {
    if (order.type === 'audio') {
      this.#engine.push(order.samples, order.turn, order.receivedAt);
      if (order.stray) this.port.postMessage({ type: 'stray' });
    } else if (order.type === 'finish') this.#engine.finish(order.turn);
    else this.#engine.cut(order.turn, order.receivedAt);
  }
}

registerProcessor('live-playback', PlaybackProcessor);
