/**
 * Capture worklet: device-rate floats in, 20 ms chunks of 16 kHz PCM16 out, straight to the network side.
 *
 * Owns: chunking and the input meter. Needs ../resampler.js, ../pcm.js. Allocates nothing but the chunk it gives away.
 */
import { CHUNK_SAMPLES, floatToInt16, INPUT_RATE, RmsMeter } from '../../shared/pcm.js';
import { Resampler } from '../../shared/resampler.js';
import { RecordingTap } from '../recording-tap.js';

/** No browser renders bigger blocks than this. */
const MAX_QUANTUM = 2048;
/** A block louder than this counts as somebody speaking, for the latency figure only. */
const LOUD = 0.02;

class CaptureProcessor extends AudioWorkletProcessor {
  #resampler = new Resampler(Math.round(sampleRate), INPUT_RATE);
  #block = new Float32Array(this.#resampler.maxOutput(MAX_QUANTUM));
  #chunk = new Int16Array(CHUNK_SAMPLES);
  #filled = 0;
  #meter = new RmsMeter();
  #tap = new RecordingTap(INPUT_RATE / 10);
  #heard = 0;
  #loudAt = 0;
  #starved = false;
  /** @type {MessagePort | null} */
  #uplink = null;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.port) this.#uplink = data.port;
      else this.#tap.to(data.tap);
    };
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const input = inputs[0]?.[0];
    if (!input) this.#starve();
    else this.#hear(input);
    return true;
  }

  /** @param {Float32Array} input */
  #hear(input) {
    this.#starved = false;
    this.#meter.add(input);
    if (this.#meter.count >= sampleRate / 20) this.#report();
    const count = this.#resampler.process(input, this.#block);
    this.#tap.write(this.#heard, this.#block, count);
    this.#heard += count;
    for (let i = 0; i < count; i++) {
      this.#chunk[this.#filled++] = floatToInt16(this.#block[i]);
      if (this.#filled === CHUNK_SAMPLES) this.#send();
    }
  }

  #send() {
    this.#uplink?.postMessage(this.#chunk.buffer, [this.#chunk.buffer]);
    this.#chunk = new Int16Array(CHUNK_SAMPLES);
    this.#filled = 0;
  }

  #report() {
    const rms = this.#meter.take();
    if (rms > LOUD) this.#loudAt = Date.now();
    this.port.postMessage({ type: 'level', rms, loudAt: this.#loudAt });
  }

  /** No input: the track ended, or is not there yet. Said once. */
  #starve() {
    if (this.#starved) return;
    this.#starved = true;
    this.port.postMessage({ type: 'starved' });
  }
}

registerProcessor('live-capture', CaptureProcessor);
