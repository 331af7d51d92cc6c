import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';

/** The part of a browser that Poll uses: a document that can be hidden. */
const page = Object.assign(new EventTarget(), { hidden: false });
Object.assign(globalThis, { document: page, window: globalThis });
const { Poll } = await import('../../web/ops/poll.js');

/** Lets pending promises continue. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** @param {number} ms */
async function pass(ms) {
  mock.timers.tick(ms);
  await settle();
}

/** @param {boolean} hidden */
async function hide(hidden) {
  page.hidden = hidden;
  page.dispatchEvent(new Event('visibilitychange'));
  await settle();
}

/** @type {InstanceType<typeof Poll>} */
let poll;

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => {
  poll.close();
  page.hidden = false;
  mock.timers.reset();
});

test('repeats after its interval, pauses on a hidden page and repeats at once when the page is visible again', async () => {
  let asked = 0;
  poll = new Poll(
    1000,
    async () => {
      asked += 1;
    },
    assert.fail,
  );
  poll.now();
  await settle();
  await pass(1000);
  assert.equal(asked, 2);
  await hide(true);
  await pass(60_000);
  assert.equal(asked, 2);
  await hide(false);
  assert.equal(asked, 3);
  poll.close();
  await pass(60_000);
  assert.equal(asked, 3);
});

test('waits longer after each failure and respects the broker’s Retry-After', async () => {
  let asked = 0;
  /** @type {unknown[]} */
  const faults = [];
  let fault = /** @type {object | null} */ ({});
  poll = new Poll(
    1000,
    async () => {
      asked += 1;
      if (fault) throw fault;
    },
    (error) => faults.push(error),
  );
  poll.now();
  await settle();
  for (const [waitMs, total] of [
    [1999, 1],
    [1, 2],
    [3999, 2],
    [1, 3],
  ]) {
    await pass(waitMs);
    assert.equal(asked, total);
  }
  fault = { retryAfterSeconds: 30 };
  await pass(8000);
  assert.equal(asked, 4);
  await pass(29_999);
  assert.equal(asked, 4);
  fault = null;
  await pass(1);
  assert.equal(asked, 5);
  await pass(1000);
  assert.equal(asked, 6);
  assert.equal(faults.length, 4);
});

test('a newer request aborts the one in progress', async () => {
  /** @type {AbortSignal[]} */
  const signals = [];
  poll = new Poll(
    1000,
    (signal) =>
      new Promise((_resolve, reject) => {
        signals.push(signal);
        signal.addEventListener('abort', () => reject(signal.reason));
      }),
    assert.fail,
  );
  poll.now();
  poll.now();
  await settle();
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false],
  );
});
