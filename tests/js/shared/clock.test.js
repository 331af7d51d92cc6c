import assert from 'node:assert/strict';
import { test } from 'node:test';

import { epochNow } from '../../../web/live/shared/clock.js';

test('goes on while the device sleeps, and never back', (t) => {
  let wall = 2_000_000_000_000;
  t.mock.method(Date, 'now', () => wall);
  const before = epochNow();
  wall += 7_200_000; // `performance.now()` stood still
  assert.equal(epochNow() - before, 7_200_000);
  wall -= 3_600_000; // somebody set the clock
  assert.equal(epochNow() - before, 7_200_000);
  wall += 5000;
  assert.equal(epochNow() - before, 7_205_000);
});
