import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Int16Ring } from '../../../web/live/audio/ring-buffer.js';

const count = (from, length) => Int16Array.from({ length }, (_, i) => from + i);
const take = (ring, length) => Array.from({ length }, () => ring.next());

test('returns samples in the order in which they were written, across the end of the buffer', () => {
  const ring = new Int16Ring(8, 8);
  let next = 0;
  for (let round = 0; round < 50; round++) {
    assert.equal(ring.write(count(next, 5)), 5);
    assert.deepEqual(take(ring, 5), [...count(next, 5)]);
    next += 5;
  }
});

test('keeps the order when it grows', () => {
  const ring = new Int16Ring(8, 64);
  ring.write(count(0, 6));
  take(ring, 4);
  ring.write(count(6, 40));
  assert.equal(ring.capacity, 64);
  assert.deepEqual(take(ring, 42), [...count(4, 42)]);
});

test('at its limit accepts what fits and returns that number', () => {
  const ring = new Int16Ring(8, 16);
  assert.equal(ring.write(count(0, 20)), 16);
  assert.equal(ring.length, 16);
  assert.deepEqual(take(ring, 16), [...count(0, 16)]);
});

test('starts with 5 s and holds up to 175 s', () => {
  const ring = new Int16Ring();
  assert.equal(ring.capacity, 2 ** 17);
  for (let second = 0; second < 180; second++) ring.write(new Int16Array(24000));
  assert.equal(ring.length, 2 ** 22);
  ring.clear();
  assert.equal(ring.length, 0);
});

test('releases the memory of a long answer when it is cleared', () => {
  const ring = new Int16Ring(8, 64);
  ring.write(count(0, 40));
  ring.clear();
  assert.equal(ring.capacity, 8);
  ring.write(count(5, 7));
  assert.deepEqual(take(ring, 7), [...count(5, 7)]);
});
