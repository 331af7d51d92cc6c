import assert from 'node:assert/strict';
import { test } from 'node:test';

import { runs, timeTicks, valueScale } from '../../web/ops/charts/scale.js';

test('a value axis starts at 0, has round whole steps and includes the highest value', () => {
  for (let highest = 0; highest < 5000; highest += 7) {
    const { top, ticks } = valueScale(highest);
    assert.equal(ticks[0], 0);
    assert.equal(ticks.at(-1), top);
    assert.ok(top >= highest && top >= 1);
    assert.ok(ticks.length <= 6, `${highest}: ${ticks}`);
    const step = ticks[1];
    assert.ok([1, 2, 5].includes(Number(String(step).replace(/0+$/, ''))), `${highest}: steps of ${step}`);
  }
});

test('time ticks are round, in order, inside the range and not more than fit', () => {
  const from = new Date(2026, 10, 24, 9, 37).getTime();
  for (const hours of [1, 24, 168]) {
    for (const most of [2, 4, 7, 14]) {
      const to = from + hours * 3_600_000;
      const ticks = timeTicks(from, to, most);
      assert.ok(ticks.length >= 1 && ticks.length <= most + 1, `${hours} h, ${most}: ${ticks.length}`);
      for (const [index, { at }] of ticks.entries()) {
        assert.ok(at >= from && at <= to);
        assert.equal(new Date(at).getMinutes() % 5, 0);
        if (index > 0) assert.ok(at > ticks[index - 1].at);
      }
    }
  }
});

test('labels midnight with its day', () => {
  const from = new Date(2026, 10, 24, 18).getTime();
  assert.deepEqual(
    timeTicks(from, from + 12 * 3_600_000, 4).map(({ label }) => label),
    ['18:00', '21:00', 'Wed 25', '03:00', '06:00'],
  );
});

test('a line has a gap where values are missing, and a single value is a run of its own', () => {
  assert.deepEqual(runs([null, 1, 2, null, 3, null, null, 4, 5]), [[1, 2], [4], [7, 8]]);
  assert.deepEqual(runs([7]), [[0]]);
  assert.deepEqual(runs([null, null]), []);
  assert.deepEqual(runs([]), []);
});
