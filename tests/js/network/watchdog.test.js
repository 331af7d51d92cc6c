import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Watchdog } from '../../../web/live/network/watchdog.js';

function watchdog({ updates = 0 } = {}) {
  const dog = new Watchdog();
  for (let n = 0; n < updates; n++) dog.received(true);
  return dog;
}

test('a service that sends updates is silent after 10 s without a frame and dead after 20 s', () => {
  const dog = watchdog({ updates: 2 });
  dog.sent(1000, false);
  dog.sent(9000, false);
  assert.equal(dog.isDead(10_900), false);
  assert.equal(dog.silent, false);
  assert.equal(dog.isDead(20_900), false);
  assert.equal(dog.silent, true);
  assert.equal(dog.isDead(21_100), true);
});

test('a service without updates owes no reply to silence and has a minute to reply to words', () => {
  const dog = watchdog();
  dog.sent(1000, false);
  assert.equal(dog.isDead(500_000), false);
  dog.sent(500_000, true);
  assert.equal(dog.isDead(559_000), false);
  assert.equal(dog.isDead(560_100), true);
});

test('any frame shows that the connection works', () => {
  const dog = watchdog({ updates: 2 });
  dog.sent(1000, true);
  dog.received(false);
  assert.equal(dog.isDead(900_000), false);
});

test('the service owes nothing before the client has sent anything', () =>
  assert.equal(watchdog({ updates: 5 }).isDead(900_000), false));

test('after a change of network, five seconds of silence are enough until a frame arrives', () => {
  const dog = watchdog({ updates: 2 });
  dog.suspect();
  dog.sent(1000, false);
  assert.equal(dog.isDead(6100), true);
  dog.reset();
  for (let n = 0; n < 2; n++) dog.received(true);
  dog.sent(10_000, false);
  assert.equal(dog.isDead(16_000), false);
});

test('waits twice as long after each connection that it judged dead', () => {
  const dog = watchdog({ updates: 2 });
  dog.sent(0.5, true);
  assert.equal(dog.isDead(20_100), true);
  dog.reset();
  for (let n = 0; n < 2; n++) dog.received(true);
  dog.sent(30_000, true);
  assert.equal(dog.isDead(51_000), false);
  assert.equal(dog.isDead(70_100), true);
});
