import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeBase64, encodeBase64 } from '../../../web/live/shared/base64.js';
import { bytesToInt16, floatToInt16, RmsMeter } from '../../../web/live/shared/pcm.js';

test('a full-scale peak is clamped, never wrapped', () => {
  assert.equal(floatToInt16(1), 32767);
  assert.equal(floatToInt16(1.5), 32767);
  assert.equal(floatToInt16(-1), -32768);
  assert.equal(floatToInt16(-2), -32768);
});

test('every int16 survives the way to a float and back', () => {
  for (let value = -32768; value <= 32767; value++) assert.equal(floatToInt16(value / 32768) + 0, value);
});

test('samples are read from any offset, and an odd last byte is left out', () => {
  const bytes = new Uint8Array([99, 1, 0, 255, 127, 0, 128, 7]).subarray(1);
  assert.deepEqual([...bytesToInt16(bytes)], [1, 32767, -32768]);
});

test('the meter gives the RMS since it was last asked', () => {
  const meter = new RmsMeter();
  meter.add(new Float32Array([0.5, -0.5]));
  meter.add(new Float32Array([0.5, 0.5]));
  assert.equal(meter.count, 4);
  assert.equal(meter.take(), 0.5);
  assert.equal(meter.take(), 0);
});

test('base64 is the same as anybody else’s, and reads the URL-safe alphabet too', () => {
  const bytes = new Uint8Array(100_001).map((_, i) => (i * 7919) >> 3);
  const text = Buffer.from(bytes).toString('base64');
  assert.equal(encodeBase64(bytes), text);
  assert.deepEqual(decodeBase64(text), bytes);
  assert.deepEqual([...decodeBase64('_9g=')], [0xff, 0xd8]);
});
