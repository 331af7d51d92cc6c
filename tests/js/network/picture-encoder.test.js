import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fittedSize } from '../../../web/live/network/picture-encoder.js';

test('a picture keeps its proportions and has at most 768 pixels on its longer side', () => {
  assert.deepEqual(fittedSize({ width: 1920, height: 1080 }), { width: 768, height: 432 });
  assert.deepEqual(fittedSize({ width: 1080, height: 2340 }), { width: 354, height: 768 });
  assert.deepEqual(fittedSize({ width: 640, height: 480 }), { width: 640, height: 480 });
  assert.deepEqual(fittedSize({ width: 10_000, height: 1 }), { width: 768, height: 1 });
});
