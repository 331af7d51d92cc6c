import assert from 'node:assert/strict';
import { test } from 'node:test';

import { redact, SessionLog } from '../../../web/demo/session-log.js';
import { LiveError } from '../../../web/live/shared/errors.js';

const SECRETS = ['auth_tokens/abc123', 'eyJhbGciOiJI.eyJzdWIi.x', 'lbk_0123456789', 'HANDLE-0123', 'c29tZSBhdWRpbw=='];

test('redacts tokens, handles, bearers and audio at any depth, and keeps the rest', () => {
  const [token, bearer, key, handle, audio] = SECRETS;
  const shown = redact({
    token,
    nested: [{ text: `my ${bearer}` }, { words: `key ${key}` }],
    sessionResumptionUpdate: { newHandle: handle, resumable: true },
    serverContent: { modelTurn: { parts: [{ inlineData: { data: audio, mimeType: 'audio/pcm' } }, { text: 'Hi' }] } },
    access_token: handle,
    csrfToken: handle,
    Authorization: handle,
    usageMetadata: { totalTokenCount: 7 },
    error: new LiveError({ reason: 'network', detail: 'The broker could not be reached.' }),
  });
  const text = JSON.stringify(shown);
  for (const secret of SECRETS) assert.ok(!text.includes(secret), text);
  for (const kept of ['"resumable":true', '"totalTokenCount":7', '"text":"Hi"', 'could not be reached'])
    assert.ok(text.includes(kept), `${kept} in ${text}`);
});

test('tells a call in steps, and stores no secret', () => {
  const log = new SessionLog();
  let at = 5000;
  /** @param {string} type @param {object} detail */
  const add = (type, detail) => {
    at += 100;
    log.add(/** @type {any} */ (type), /** @type {any} */ (detail), at);
  };
  let changes = 0;
  log.onchange = () => {
    changes += 1;
  };
  add('statechange', { state: 'connecting', previous: 'idle' });
  add('granted', {
    profile: 'default',
    model: 'models/x',
    locked: ['model', 'tools'],
    limits: {
      rate: [{ policy: '10/minute', remaining: 9, reset: 42 }],
      sessions: { limit: 2, open: 1 },
      minutes_per_day: { limit: 60, used: 15 },
    },
    expires_in: 900,
    connect_within: 120,
  });
  const report = /** @type {any} */ ({ steps: { opened: 200, ready: 250 } });
  add('diagnostics', report);
  add('diagnostics', report);
  for (const newHandle of SECRETS.slice(3))
    add('message', { message: { sessionResumptionUpdate: { newHandle, resumable: true } } });
  add('message', { message: { goAway: { timeLeft: '50s' } } });
  add('reconnected', { resumed: true, seeded: false, planned: true, gapMs: 80 });
  add('reconnecting', { attempt: 1, delayMs: 0, reason: 'The connection was lost.' });
  add('reconnected', { resumed: true, seeded: false, planned: false, gapMs: 300 });
  add('statechange', { state: 'ended', previous: 'listening' });
  assert.deepEqual(
    log.steps.map(({ title }) => title),
    [
      'Asked the broker for a token',
      'Token granted',
      'Connected straight to the model',
      'Conversation set up',
      'Handle kept',
      'The service announced the end of this connection',
      'Handed over to a new connection',
      'Connection broke',
      'Reconnected',
      'Ended',
    ],
  );
  assert.equal(
    log.steps[1].detail,
    'Profile default, x.\nOne connection, within 120 s.\nValid for 15 min.\nLocked: model, tools.\n' +
      'Left: 9 requests of 10/minute; 1 of 2 conversations at once; 45 of 60 minutes today.',
  );
  assert.equal(log.steps[2].ms, 200);
  const kept = JSON.stringify([log.steps, log.events]);
  for (const secret of SECRETS) assert.ok(!kept.includes(secret), kept);
  assert.equal(changes, 11);
  log.clear();
  assert.deepEqual([log.steps, log.events], [[], []]);
});

test('keeps a bounded number of steps and events', () => {
  const log = new SessionLog();
  for (let i = 0; i < 1000; i += 1) log.add('reconnecting', { attempt: i, delayMs: 0, reason: 'x'.repeat(5000) }, i);
  assert.equal(log.steps.length, 200);
  assert.equal(log.events.length, 200);
  assert.ok(log.events[0].text.length <= 2000);
});
