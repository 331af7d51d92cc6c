/**
 * The capture worklet: floats at the device's rate in, 20 ms chunks of 16 kHz PCM16 out, directly to the network.
 * Also measures the input level. Allocates nothing but the chunk that it gives away.
 */
import { CHUNK_SAMPLES, floatToInt16, INPUT_RATE, LOUD_RMS, METER_HZ, RmsMeter } from '../../shared/pcm.js';
import { Resampler } from '../../shared/resampler.js';
import { RecordingTap } from '../recording-tap.js';

/** No browser renders larger blocks. */
const MAX_QUANTUM = 2048;

class CaptureProcessor extends AudioWorkletProcessor {
  #resampler = new Resampler(Math.round(sampleRate), INPUT_RATE);
  #block = new Float32Array(this.#resampler.maxOutput(MAX_QUANTUM));
  #chunk = new Int16Array(CHUNK_SAMPLES);
  #filled = 0;
  #meter = new RmsMeter();
  #tap = new RecordingTap(INPUT_RATE / 10);
  #frame = 0;
  #loudAt = 0;
  #starved = false;
  /** @type {MessagePort | null} */
  #networkPort = null;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.port) this.#networkPort = data.port;
      else this.#tap.sendTo(data.tapPort);
    };
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const input = inputs[0]?.[0];
    if (!input) this.#starve();
    else this.#capture(input);
    return true;
  }

  /** @param {Float32Array} input */
  #capture(input) {
    this.#starved = false;
    this.#meter.add(input);
    if (this.#meter.count >= sampleRate / METER_HZ) this.#report();
    const count = this.#resampler.process(input, this.#block);
    this.#tap.write(this.#frame, this.#block, count);
    this.#frame += count;
    for (let i = 0; i < count; i++) {
      this.#chunk[this.#filled++] = floatToInt16(this.#block[i]);
      if (this.#filled === CHUNK_SAMPLES) this.#send();
    }
  }

  #send() {
    this.#networkPort?.postMessage(this.#chunk.buffer, [this.#chunk.buffer]);
    this.#chunk = new Int16Array(CHUNK_SAMPLES);
    this.#filled = 0;
  }

  #report() {
    const rms = this.#meter.take();
    if (rms > LOUD_RMS) this.#loudAt = Date.now();
    this.port.postMessage({ type: 'level', rms, loudAt: this.#loudAt });
  }

  /** There is no input: the track has ended, or has not started. Reported once. */
  #starve() {
    if (this.#starved) return;
    this.#starved = true;
    this.port.postMessage({ type: 'starved' });
  }
}

registerProcessor('live-capture', CaptureProcessor);
