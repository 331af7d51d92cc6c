import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LiveError } from '../../../web/live/shared/errors.js';
import { wire } from '../support.js';

const { closes } = wire('errors-and-closes.derived.json');
/** The reasons that are correct for each advice in the samples. */
const REASONS = {
  no: ['connection-refused'],
  'new token': ['connection-refused'],
  'new token, then resume': ['session-ended'],
  later: ['connection-refused'],
  resume: ['session-ended', 'connection-lost'],
  'resume with backoff': ['connection-lost'],
  'fresh session': ['connection-refused'],
};

for (const { code, reason, retry } of closes) {
  test(`explains the close ${code} ${reason.slice(0, 60)}`, () => {
    const error = LiveError.closed(code, reason, true);
    assert.ok(REASONS[retry].includes(error.reason), error.reason);
    assert.ok(error.detail.endsWith('.'));
    assert.deepEqual([error.closeCode, error.closeReason], [code, reason]);
  });
}

test('a broken connection is a network error before setup and a lost connection after it', () => {
  assert.equal(LiveError.closed(1006, '', false).reason, 'network');
  assert.equal(LiveError.closed(1006, '', true).reason, 'connection-lost');
  assert.equal(LiveError.closed(1000, '', true).reason, 'session-ended');
});

test('keeps the fields of the broker’s problem and prefers its Retry-After header', () => {
  const problem = {
    title: 'Too many',
    detail: 'Slow down.',
    code: 'rate-limited',
    hint: 'Wait.',
    retry_after_seconds: 9,
  };
  const error = LiveError.tokenRefused(429, problem, '7');
  assert.deepEqual(
    [error.reason, error.detail, error.code, error.hint, error.status, error.retryAfterSeconds],
    ['token-refused', 'Slow down.', 'rate-limited', 'Wait.', 429, 7],
  );
  assert.equal(LiveError.tokenRefused(429, problem, null).retryAfterSeconds, 9);
  assert.equal(LiveError.tokenRefused(502, null, null).retryAfterSeconds, undefined);
});

test('explains each error of getUserMedia in a sentence', async () => {
  const explain = async (name) => {
    const { reason, detail } = await LiveError.microphone(new DOMException('No.', name)).explained();
    return `${reason}: ${detail}`;
  };
  assert.equal(await explain('NotAllowedError'), 'permission-denied: The microphone is not allowed for this page.');
  assert.equal(await explain('NotFoundError'), 'no-microphone: No microphone was found.');
  assert.equal(await explain('OverconstrainedError'), 'no-microphone: The chosen microphone is not available.');
  assert.equal(await explain('NewError'), 'no-microphone: The microphone could not be opened.');
});

test('gives a hint for a known refusal and keeps the text of an unknown one', async () => {
  const explain = async (code, reason) => (await LiveError.closed(code, reason, true).explained()).toJSON();
  const quota = await explain(1011, 'You exceeded your current quota, please check your plan and billing details.');
  assert.deepEqual(
    [quota.reason, quota.detail, quota.hint, quota.closeCode],
    ['connection-refused', 'The service’s quota is used up.', 'Try again later.', 1011],
  );
  assert.equal((await explain(1008, 'Something new')).detail, 'The service refused: Something new.');
  assert.deepEqual(await explain(1006, ''), LiveError.closed(1006, '', true).toJSON());
});

test('keeps all fields when it is sent to another thread', () => {
  const error = LiveError.closed(1011, 'auth token has expired', true);
  assert.deepEqual(new LiveError(structuredClone(error.toJSON())).toJSON(), error.toJSON());
});
