import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { Resampler } from '../../../web/live/shared/resampler.js';

const QUANTUM = 128;
const OUTPUT = 16000;

/** Sends a sine through the filter in the blocks of a worklet. */
function resample(hz, inputRate, seconds = 1) {
  const resampler = new Resampler(inputRate, OUTPUT);
  const out = new Float32Array(Math.ceil(seconds * OUTPUT) + 100);
  const block = new Float32Array(resampler.maxOutput(QUANTUM));
  const input = new Float32Array(QUANTUM);
  let filled = 0;
  for (let at = 0; at + QUANTUM <= seconds * inputRate; at += QUANTUM) {
    for (let i = 0; i < QUANTUM; i++) input[i] = Math.sin((2 * Math.PI * hz * (at + i)) / inputRate);
    const written = resampler.process(input, block);
    assert.ok(written <= block.length);
    out.set(block.subarray(0, written), filled);
    filled += written;
  }
  return out.subarray(0, filled);
}

/** The amplitude of one frequency, measured away from the ends with a Hann window. */
function amplitude(samples, hz) {
  const part = samples.subarray(1000, 1000 + 12800);
  let re = 0;
  let im = 0;
  let gain = 0;
  part.forEach((x, i) => {
    const w = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / part.length);
    re += x * w * Math.cos((2 * Math.PI * hz * i) / OUTPUT);
    im += x * w * Math.sin((2 * Math.PI * hz * i) / OUTPUT);
    gain += w;
  });
  return (2 * Math.hypot(re, im)) / gain;
}

const db = (x) => 20 * Math.log10(x);

for (const rate of [48000, 44100, 96000, 32000]) {
  describe(`${rate} Hz to ${OUTPUT} Hz`, () => {
    test('is flat within 0.5 dB up to 7 kHz', () => {
      for (const hz of [50, 300, 1000, 3000, 5000, 6000, 6500, 7000]) {
        assert.ok(Math.abs(db(amplitude(resample(hz, rate), hz))) < 0.5, `${hz} Hz`);
      }
    });

    test('attenuates images of frequencies from 8 kHz on by 80 dB', () => {
      for (const hz of [8050, 8200, 8500, 9000, 10000, 12000, 15000].filter((hz) => hz < rate / 2)) {
        const image = Math.abs(OUTPUT * Math.round(hz / OUTPUT) - hz);
        assert.ok(db(amplitude(resample(hz, rate), image)) < -80, `${hz} Hz comes back at ${image} Hz`);
      }
    });
  });
}

test('keeps the output rate exact for every ratio', () => {
  for (const rate of [48000, 44100, 22050, 8000]) {
    const given = Math.floor((10 * rate) / QUANTUM) * QUANTUM;
    const wanted = (given * OUTPUT) / rate;
    // The filter always holds back 34 samples of the lower rate.
    assert.ok(Math.abs(resample(100, rate, 10).length - wanted) < 80, `${rate} Hz`);
  }
});

test('keeps noise and distortion 88 dB below a 1 kHz tone', () => {
  const out = resample(1000, 48000).subarray(1000, 9000);
  // Subtract the best-fitting sine. The rest is noise, distortion and images.
  let [sin, cos] = [0, 0];
  out.forEach((x, i) => {
    sin += (2 * x * Math.sin((2 * Math.PI * i) / 16)) / out.length;
    cos += (2 * x * Math.cos((2 * Math.PI * i) / 16)) / out.length;
  });
  let rest = 0;
  out.forEach((x, i) => {
    rest += (x - sin * Math.sin((2 * Math.PI * i) / 16) - cos * Math.cos((2 * Math.PI * i) / 16)) ** 2;
  });
  assert.ok(db(Math.hypot(sin, cos) / Math.SQRT2 / Math.sqrt(rest / out.length)) > 88);
});

test('gives the same samples for any block size', () => {
  const input = Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i * 0.05) * Math.cos(i * 0.31));
  const whole = new Float32Array(4096);
  const pieces = new Float32Array(4096);
  const one = new Resampler(44100, OUTPUT);
  const length = one.process(input, whole);
  const other = new Resampler(44100, OUTPUT);
  let filled = 0;
  for (let at = 0; at < input.length; at += 100) {
    filled += other.process(input.subarray(at, at + 100), pieces.subarray(filled));
  }
  assert.equal(filled, length);
  assert.deepEqual(pieces.subarray(0, filled), whole.subarray(0, length));
});

test('does not change input that is already at 16 kHz', () => {
  const input = Float32Array.from({ length: 128 }, (_, i) => Math.sin(i));
  const out = new Float32Array(129);
  assert.equal(new Resampler(16000, 16000).process(input, out), 128);
  assert.deepEqual(out.subarray(0, 128), input);
});
