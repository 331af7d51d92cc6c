import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeBase64, encodeBase64 } from '../../../web/live/shared/base64.js';
import { bytesToInt16, floatToInt16, RmsMeter } from '../../../web/live/shared/pcm.js';

test('clamps a peak beyond full scale instead of wrapping it', () => {
  assert.equal(floatToInt16(1), 32767);
  assert.equal(floatToInt16(1.5), 32767);
  assert.equal(floatToInt16(-1), -32768);
  assert.equal(floatToInt16(-2), -32768);
});

test('converts every int16 to a float and back without a change', () => {
  for (let value = -32768; value <= 32767; value++) assert.equal(floatToInt16(value / 32768) + 0, value);
});

test('reads samples from any offset and ignores an odd last byte', () => {
  const bytes = new Uint8Array([99, 1, 0, 255, 127, 0, 128, 7]).subarray(1);
  assert.deepEqual([...bytesToInt16(bytes)], [1, 32767, -32768]);
});

test('the meter returns the RMS since the previous reading', () => {
  const meter = new RmsMeter();
  meter.add(new Float32Array([0.5, -0.5]));
  meter.add(new Float32Array([0.5, 0.5]));
  assert.equal(meter.count, 4);
  assert.equal(meter.take(), 0.5);
  assert.equal(meter.take(), 0);
});

test('encodes standard base64 and decodes the URL-safe alphabet too', () => {
  const bytes = new Uint8Array(100_001).map((_, i) => (i * 7919) >> 3);
  const text = Buffer.from(bytes).toString('base64');
  assert.equal(encodeBase64(bytes), text);
  assert.deepEqual(decodeBase64(text), bytes);
  assert.deepEqual([...decodeBase64('_9g=')], [0xff, 0xd8]);
});
