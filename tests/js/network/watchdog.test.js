import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Watchdog } from '../../../web/live/network/watchdog.js';

function watchdog({ updates = 0 } = {}) {
  const dog = new Watchdog();
  for (let n = 0; n < updates; n++) dog.received(true);
  return dog;
}

test('a service that sends updates is dead after 20 s without any frame, and silent after 10', () => {
  const dog = watchdog({ updates: 2 });
  dog.sent(1000, false);
  dog.sent(9000, false);
  assert.equal(dog.isDead(10_900), false);
  assert.equal(dog.silent, false);
  assert.equal(dog.isDead(20_900), false);
  assert.equal(dog.silent, true);
  assert.equal(dog.isDead(21_100), true);
});

test('one that never sends them owes nothing to silence, and a minute to words', () => {
  const dog = watchdog();
  dog.sent(1000, false);
  assert.equal(dog.isDead(500_000), false);
  dog.sent(500_000, true);
  assert.equal(dog.isDead(559_000), false);
  assert.equal(dog.isDead(560_100), true);
});

test('any frame is a sign of life', () => {
  const dog = watchdog({ updates: 2 });
  dog.sent(1000, true);
  dog.received(false);
  assert.equal(dog.isDead(900_000), false);
});

test('nothing said, nothing owed', () => assert.equal(watchdog({ updates: 5 }).isDead(900_000), false));

test('after a change of network five seconds are enough, until a frame comes', () => {
  const dog = watchdog({ updates: 2 });
  dog.suspect();
  dog.sent(1000, false);
  assert.equal(dog.isDead(6100), true);
  dog.reset();
  for (let n = 0; n < 2; n++) dog.received(true);
  dog.sent(10_000, false);
  assert.equal(dog.isDead(16_000), false);
});

test('where silence is the habit it waits twice as long the next time', () => {
  const dog = watchdog({ updates: 2 });
  dog.sent(0.5, true);
  assert.equal(dog.isDead(20_100), true);
  dog.reset();
  for (let n = 0; n < 2; n++) dog.received(true);
  dog.sent(30_000, true);
  assert.equal(dog.isDead(51_000), false);
  assert.equal(dog.isDead(70_100), true);
});
