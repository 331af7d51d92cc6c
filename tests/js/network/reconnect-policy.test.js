import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actionFor, NO_OUTAGE, nextStep, renewalDelayMs } from '../../../web/live/network/reconnect-policy.js';
import { LiveError } from '../../../web/live/shared/errors.js';
import { wire } from '../support.js';

const FRESH = NO_OUTAGE;
const closed = (code, reason = '') => LiveError.closed(code, reason, true);
const refused = (status, code, retryAfter = null) => LiveError.tokenRefused(status, { code }, retryAfter);
const middle = () => 0.5;

/** The actions that are correct during a conversation, for each advice in the samples. */
const WHILE_OPEN = {
  no: ['stop', 'retry'], // it worked before, so it may work again
  later: ['stop'],
  'new token': ['retry'],
  'new token, then resume': ['retry'],
  resume: ['retry', 'spread'],
  'resume with backoff': ['retry', 'spread'],
  'fresh session': ['retry'],
};

for (const { code, reason, retry } of wire('errors-and-closes.derived.json').closes) {
  test(`${code} ${reason.slice(0, 50)}: ${retry}`, () => {
    assert.ok(
      WHILE_OPEN[retry].includes(actionFor(closed(code, reason), 'open')),
      actionFor(closed(code, reason), 'open'),
    );
  });
}

for (const [phase, code, reason, action] of [
  ['resuming', 1007, 'Request contains an invalid argument.', 'seed'],
  ['opening', 1007, 'Request contains an invalid argument.', 'stop'],
  ['resuming', 1007, 'something unheard of', 'seed'],
  ['resuming', 1008, 'Requested entity was not found.', 'seed'],
  ['resuming', 1008, 'something unheard of', 'seed'],
  ['opening', 1008, 'something unheard of', 'stop'],
  ['resuming', 1011, 'Internal error encountered.', 'retry'],
  ['resuming', 1011, 'Token has been used too many times', 'retry'],
  ['resuming', 1007, 'API key expired. Please renew the API key.', 'stop'],
  ['resuming', 1011, 'Resource has been exhausted (e.g. check quota).', 'stop'],
  ['open', 1006, '', 'retry'],
  ['resuming', 1006, '', 'retry'],
  ['opening', 1006, '', 'retry'],
  ['open', 1001, '', 'spread'],
  ['open', 1011, 'The service is currently unavailable.', 'spread'],
  ['open', 1000, '', 'stop'],
  ['open', 1007, 'The audio content type (CONTENT_TYPE_AUDIO) is not supported for this model configuration.', 'retry'],
  ['open', 1007, 'API key not valid. Please pass a valid API key.', 'stop'],
  ['open', 1011, 'You exceeded your current quota, please check your plan and billing details.', 'stop'],
  ['open', 4321, 'something unheard of', 'retry'],
]) {
  test(`${phase}, ${code} ${reason || 'without a reason'}: ${action}`, () => {
    assert.equal(actionFor(closed(code, reason), phase), action);
  });
}

for (const [status, code, action] of [
  [401, 'token-expired', 'stop'],
  [403, 'account-blocked', 'stop'],
  [404, 'session-unknown', 'stop'],
  [408, 'request-timeout', 'retry'],
  [409, 'session-ended', 'stop'],
  [422, 'invalid-field', 'stop'],
  [429, 'minutes-exhausted', 'stop'],
  [429, 'budget-exhausted', 'stop'],
  [429, 'rate-limited', 'retry'],
  [500, 'internal', 'retry'],
  [502, 'upstream-rejected', 'stop'],
  [502, 'upstream-error', 'retry'],
  [503, 'draining', 'retry'],
  [503, 'minting-suspended', 'stop'],
  [503, 'upstream-quota', 'stop'],
]) {
  test(`the broker’s ${status} ${code}: ${action}`, () =>
    assert.equal(actionFor(refused(status, code), 'open'), action));
}

test('retries when the broker cannot be reached', () => {
  assert.equal(actionFor(new LiveError({ reason: 'network', detail: 'Away.' }), 'resuming'), 'retry');
});

test('retries at once, then after 0.5, 1, 2 and 4 s or up to twice as long, then stops', () => {
  const waits = (random) => {
    const steps = [];
    for (let outage = FRESH; ; ) {
      const step = nextStep(closed(1006), 'resuming', outage, random);
      if (step.stop) return steps;
      steps.push(step.delayMs);
      outage = step;
    }
  };
  assert.deepEqual(
    waits(() => 0),
    [0, 500, 1000, 2000, 4000],
  );
  assert.deepEqual(
    waits(() => 1),
    [0, 1000, 2000, 4000, 8000],
  );
});

test('gives a handle up after two refusals, but not after two broken connections', () => {
  const after = (error) => {
    const once = nextStep(error, 'resuming', nextStep(closed(1006), 'open', FRESH));
    return [once.seed, nextStep(error, 'resuming', once).seed];
  };
  assert.deepEqual(after(closed(1011, 'Internal error encountered.')), [false, true]);
  assert.deepEqual(after(closed(1006)), [false, false]);
  assert.deepEqual(after(refused(503, 'busy')), [false, false]);
  assert.equal(nextStep(closed(1008, 'Requested entity was not found.'), 'resuming', FRESH).seed, true);
});

test('a complaint about an open conversation: resumes, then seeds, then stops', () => {
  const steps = (code, reason) => {
    const first = nextStep(closed(code, reason), 'open', FRESH);
    const second = nextStep(closed(code, reason), 'open', first);
    return [first.seed, second.seed, nextStep(closed(code, reason), 'open', second).stop];
  };
  for (const [code, reason] of [
    [1007, 'The audio content type (CONTENT_TYPE_AUDIO) is not supported for this model configuration.'],
    [1007, 'Request contains an invalid argument.'],
    [1008, 'something unheard of'],
    [1011, 'Internal error encountered.'],
  ])
    assert.deepEqual(steps(code, reason), [false, true, true], reason);
  for (const [code, reason] of [
    [1006, ''],
    [1008, 'The operation was aborted.'],
    [1011, 'auth token has expired'],
  ])
    assert.deepEqual(steps(code, reason), [false, false, undefined], reason);
});

test('only the same complaint counts, also with a broken connection in between', () => {
  const first = nextStep(closed(1007, 'one'), 'open', FRESH);
  assert.equal(nextStep(closed(1007, 'two'), 'open', first).seed, false);
  const between = nextStep(closed(1006), 'resuming', first);
  assert.equal(nextStep(closed(1007, 'one'), 'open', between).seed, true, 'it is the same again');
});

test('waits for Retry-After and stops if it is too long', () => {
  assert.equal(nextStep(refused(429, 'rate-limited', '7'), 'open', FRESH, () => 0).delayMs, 7000);
  assert.equal(nextStep(refused(429, 'too-many-sessions', '600'), 'open', FRESH).stop, true);
  assert.equal(
    renewalDelayMs(refused(503, 'busy', '40'), 0, () => 0),
    40_000,
  );
});

test('renewals wait longer after each failure, up to half a minute or randomly up to twice that', () => {
  const away = new LiveError({ reason: 'network', detail: 'Away.' });
  assert.deepEqual(
    [0, 1, 2, 5, 50].map((failures) => renewalDelayMs(away, failures, () => 0)),
    [1000, 2000, 4000, 30_000, 30_000],
  );
  assert.equal(renewalDelayMs(away, 5, middle), 45_000);
});

test('at most a quarter of a thousand dropped clients reconnect within the same 100 ms', () => {
  const counts = new Array(400).fill(0);
  for (let client = 0; client < 1000; client++) {
    let at = 0;
    for (let outage = FRESH; outage.attempt < 4; ) {
      const step = nextStep(closed(1011, 'The service is currently unavailable.'), 'opening', outage);
      at += step.delayMs;
      counts[Math.floor(at / 100)] += 1;
      outage = step;
    }
  }
  assert.ok(Math.max(...counts) < 250, `${Math.max(...counts)}`);
});
