import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CallRecord } from '../../../web/demo/call-record.js';
import { cueFor } from '../../../web/demo/cues.js';
import { explain } from '../../../web/demo/errors.js';
import { Reconnects } from '../../../web/demo/reconnects.js';
import { Diagnostics } from '../../../web/live/shared/diagnostics.js';

const SPEAKER = { latencySeconds: 0, deviceUnderruns: null, context: { sampleRate: 24000 } };

/** @param {number} at @param {number} turn */
const started = (at, turn) => /** @type {any} */ ({ type: 'started', at, receivedAt: at, turn });
/** @param {any} state @param {any} previous */
const change = (state, previous) => ({ state, previous });

test('counts duration, turns, the median delay, drops and tokens of one call', async () => {
  const record = new CallRecord();
  const diagnostics = new Diagnostics();
  record.state(change('connecting', 'idle'), 900);
  assert.equal(record.connected, false);
  record.state(change('listening', 'connecting'), 1000);
  for (const [turn, delay] of [300, 900, 400].entries()) {
    diagnostics.captured({ type: 'level', rms: 0.1, loudAt: 10_000 * (turn + 1) });
    diagnostics.played(started(10_000 * (turn + 1) + delay, turn + 1), SPEAKER);
    record.diagnostics(diagnostics.snapshot());
    record.diagnostics(diagnostics.snapshot()); // a report for another reason counts nothing twice
  }
  diagnostics.reconnected({ planned: false, gapMs: 100 });
  await diagnostics.used({ usage: { totalTokenCount: 42 }, turn: 3, seconds: 1 });
  record.diagnostics(diagnostics.snapshot());
  for (const id of ['a', 'b', 'a']) record.caption(/** @type {any} */ ({ id, text: 'words' }));
  record.caption(/** @type {any} */ ({ id: 'c', text: ' ' }));
  record.state(change('ended', 'listening'), 61_000);
  assert.deepEqual(record.figures, { durationMs: 60_000, turns: 2, delayMs: 400, drops: 1, gaps: 0, tokens: 42 });
  record.state(change('connecting', 'ended'), 99_000);
  assert.deepEqual(record.figures, { durationMs: 0, turns: 0, delayMs: null, drops: 0, gaps: 0, tokens: 0 });
});

test('an answer to typed text does not count from speech of long ago', () => {
  const diagnostics = new Diagnostics();
  diagnostics.captured({ type: 'level', rms: 0.1, loudAt: 1000 });
  diagnostics.played(started(1400, 1), SPEAKER);
  diagnostics.captured({ type: 'level', rms: 0, loudAt: 1000 });
  diagnostics.played(started(60_000, 2), SPEAKER);
  assert.equal(diagnostics.snapshot().turns.speechEndToSoundMs, 400);
  diagnostics.captured({ type: 'level', rms: 0.1, loudAt: 70_000 }); // a noise
  diagnostics.typed();
  diagnostics.played(started(99_000, 3), SPEAKER);
  assert.equal(diagnostics.snapshot().turns.speechEndToSoundMs, 400);
  diagnostics.captured({ type: 'level', rms: 0.1, loudAt: 100_000 });
  diagnostics.played(started(100_250, 4), SPEAKER);
  assert.equal(diagnostics.snapshot().turns.speechEndToSoundMs, 250);
});

test('a reconnect says what it cost', () => {
  const sentence = (/** @type {string} */ before, /** @type {object} */ result, said = 'Hello', dropped = 0) => {
    const reconnects = new Reconnects();
    reconnects.state(change('connecting', 'idle'));
    reconnects.caption(/** @type {any} */ ({ role: 'user', text: said }));
    reconnects.state(change('reconnecting', before));
    if (dropped) reconnects.network({ state: 'slow', droppedMs: dropped });
    return reconnects.sentence({ resumed: true, seeded: false, planned: false, gapMs: 1, ...result });
  };
  assert.equal(sentence('listening', {}), 'Reconnected. Nothing was lost.');
  assert.equal(sentence('listening', { planned: true }), 'Reconnected. Nothing was lost.');
  assert.equal(sentence('thinking', {}, '/drop'), 'Reconnected. Nothing was lost.');
  assert.equal(sentence('thinking', {}), 'Reconnected. If no answer comes, say it again.');
  assert.equal(sentence('speaking', {}), 'Reconnected. The end of the answer was lost.');
  assert.equal(sentence('listening', {}, 'Hello', 200), 'Reconnected. Some of your words were lost.');
  const seeded = { resumed: false, seeded: true };
  assert.equal(sentence('listening', seeded), 'Reconnected. The assistant knows what was said.');
  assert.match(sentence('listening', { resumed: false }), /no longer knows/);
});

test('a cue marks the turning points of a call only', () => {
  assert.equal(cueFor('connecting', 'listening'), 'connected');
  assert.equal(cueFor('reconnecting', 'speaking'), 'connected');
  assert.equal(cueFor('speaking', 'reconnecting'), 'lost');
  assert.equal(cueFor('listening', 'ended'), 'ended');
  assert.equal(cueFor('listening', 'speaking'), null);
  assert.equal(cueFor('connecting', 'idle'), null);
});

test('an end by the operator has a title of its own, and no other end repeats itself', () => {
  const byOperator = explain({
    reason: 'session-ended',
    detail: 'An operator ended this session.',
    hint: 'Start again.',
  });
  assert.equal(byOperator.title, 'An operator ended this conversation.');
  assert.deepEqual(byOperator.actions, ['again']);
  const ended = explain({ reason: 'session-ended', detail: 'This session has ended.', hint: 'Start again.' });
  assert.equal(ended.detail, 'You can start a new one at any time.');
  const over = explain({ reason: 'session-ended', detail: 'The session’s time is up.', hint: 'Start again.' });
  assert.equal(over.detail, 'The session’s time is up.');
});

test('a blocked account has no button, and used-up minutes name the new ones', () => {
  assert.deepEqual(explain({ code: 'account-blocked' }).actions, []);
  const detail = "Today's 60 minutes are used up. A new day begins at 00:00 UTC.";
  assert.equal(explain({ code: 'minutes-exhausted', detail }).detail, 'You get 60 new minutes at 00:00 UTC.');
  assert.equal(explain({ code: 'minutes-exhausted' }).detail, 'You get new minutes at 00:00 UTC.');
});
