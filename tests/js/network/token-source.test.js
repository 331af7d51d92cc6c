import assert from 'node:assert/strict';
import { test } from 'node:test';

import { requestToken, timesOf } from '../../../web/live/network/broker-request.js';
import { BrokerSession } from '../../../web/live/network/broker-session.js';
import { TokenSource } from '../../../web/live/network/token-source.js';
import { serve } from '../support.js';

const { signal } = new AbortController();
const ANSWER = { token: 'auth_tokens/x', url: 'ws://live.test/ws', session: { id: 'ses_1' } };

/** The answer as the network session receives it. */
const fetchVia = async (source) => requestToken((await source.describe({ signal })).request);

test('an endpoint receives JSON and its own headers, from values or functions', async (t) => {
  const seen = [];
  const base = await serve(t, (request, body) => {
    seen.push([request.method, request.url, request.headers.authorization, request.headers['content-type'], body]);
    return [200, ANSWER];
  });
  const url = `${base}token`;
  const plain = TokenSource.endpoint(url, { headers: { Authorization: 'Bearer a' }, body: { profile: 'p' } });
  const asked = TokenSource.endpoint(url, { headers: async () => ({ Authorization: 'Bearer b' }), body: () => ({}) });
  assert.deepEqual(await fetchVia(plain), ANSWER);
  assert.deepEqual(await fetchVia(asked), ANSWER);
  assert.deepEqual(seen, [
    ['POST', '/token', 'Bearer a', 'application/json', '{"profile":"p"}'],
    ['POST', '/token', 'Bearer b', 'application/json', '{}'],
  ]);
});

test('attempts for one session have one key until there is an answer', async () => {
  const source = TokenSource.endpoint('http://broker.test/token', { body: () => ({ profile }) });
  let profile = 'p';
  const key = async () => source.intent.keyed(await source.describe({ signal })).key;
  const first = await key();
  assert.match(first, /^[!-~]{8,255}$/);
  assert.equal(await key(), first);
  profile = 'q';
  assert.notEqual(await key(), first, 'the broker refuses a key with another body');
  const before = await key();
  source.intent.answered();
  assert.notEqual(await key(), before);
});

test('only the request for a first token has the key', async (t) => {
  const seen = [];
  const base = await serve(t, (request) => {
    seen.push([request.url, request.headers['idempotency-key']]);
    return [200, ANSWER];
  });
  const { request } = await TokenSource.endpoint(`${base}token`).describe({ signal });
  await requestToken(request, 'k1');
  const session = new BrokerSession(request, 'ses_1');
  await requestToken(session.nextTokenRequest('h'));
  await session.heartbeat();
  assert.deepEqual(seen, [
    ['/token', 'k1'],
    ['/sessions/ses_1/token', undefined],
    ['/sessions/ses_1/heartbeat', undefined],
  ]);
});

test('a refusal has the code, the status and the time to wait', async (t) => {
  const url = await serve(t, () => [429, { code: 'rate-limited', detail: 'Slow down.' }, { 'Retry-After': '12' }]);
  await assert.rejects(fetchVia(TokenSource.endpoint(url)), {
    reason: 'token-refused',
    code: 'rate-limited',
    status: 429,
    retryAfterSeconds: 12,
  });
});

test('treats an answer without a token or without JSON as a refusal', async (t) => {
  const empty = await serve(t, () => [200, {}]);
  const html = await serve(t, () => [200, '<html>']);
  await assert.rejects(fetchVia(TokenSource.endpoint(empty)), { reason: 'token-refused' });
  await assert.rejects(fetchVia(TokenSource.endpoint(html)), { reason: 'token-refused' });
});

test('does not follow a redirect with the caller’s credentials', async (t) => {
  const other = await serve(t, () => [200, ANSWER]);
  const url = await serve(t, () => [307, {}, { Location: other }]);
  await assert.rejects(fetchVia(TokenSource.endpoint(url)), { reason: 'network' });
});

test('reports a broker that cannot be reached as a network error', async () => {
  await assert.rejects(fetchVia(TokenSource.endpoint('http://127.0.0.1:1/token')), { reason: 'network' });
});

test('converts the broker’s times to durations on the local clock', () => {
  const answer = {
    ...ANSWER,
    expires_in: 900,
    expires_at: '2030-01-01T00:15:00Z',
    connect_within: 120,
    session: { id: 's', ends_at: '2030-01-01T00:30:00Z', renew_after: '2030-01-01T00:12:00Z' },
  };
  assert.deepEqual(timesOf(answer, 5000), {
    expiresAt: 905_000,
    connectBy: 125_000,
    renewAt: 725_000,
    endsAt: 1_805_000,
  });
});

test('does not renew the last slice of a session, and missing times are Infinity', () => {
  const last = {
    ...ANSWER,
    expires_in: 60,
    expires_at: '2030-01-01T00:01:00Z',
    session: { id: 's', ends_at: '2030-01-01T00:01:00Z', renew_after: '2030-01-01T00:00:48Z' },
  };
  for (const now of [0, 1795650453802.661, 1795650455589.658]) assert.equal(timesOf(last, now).renewAt, Infinity);
  const nothing = { expiresAt: Infinity, connectBy: Infinity, renewAt: Infinity, endsAt: Infinity };
  assert.deepEqual(timesOf(ANSWER, 0), nothing);
});

test('literal and custom sources return their answer', async () => {
  assert.deepEqual(await TokenSource.literal(ANSWER).describe({ signal }), { answer: ANSWER });
  assert.deepEqual(await TokenSource.custom(async () => ANSWER).describe({ signal }), { answer: ANSWER });
  const failing = TokenSource.custom(async () => {
    throw new Error('no luck');
  });
  await assert.rejects(failing.describe({ signal }), { reason: 'token-refused', detail: 'no luck' });
});

test('simultaneous callers share one request', async () => {
  let asked = 0;
  const source = TokenSource.custom(async () => ({ ...ANSWER, token: `auth_tokens/${++asked}` }));
  const [one, two] = await Promise.all([source.describe({ signal }), source.describe({ signal })]);
  assert.equal(one, two);
  await source.describe({ signal });
  assert.equal(asked, 2);
});

test('heartbeats and the end use the routes next to the token route, with the same credentials', async (t) => {
  const seen = [];
  const base = await serve(t, (request) => {
    seen.push([request.url, request.headers.authorization]);
    return [200, { state: 'open' }];
  });
  const access = { url: `${base}api/token`, headers: { Authorization: 'Bearer a' }, credentials: 'omit' };
  const session = new BrokerSession(access, 'ses_1');
  await session.heartbeat();
  await session.end();
  assert.deepEqual(seen, [
    ['/api/sessions/ses_1/heartbeat', 'Bearer a'],
    ['/api/sessions/ses_1/end', 'Bearer a'],
  ]);
});

for (const [answers, known] of [
  [[200], true],
  [[404], true],
  [[503, 200], true],
  [[503, 503], false],
  [[401, 401], false],
])
  test(`the end is ${known ? 'known' : 'lost'} after ${answers}`, async (t) => {
    const left = [...answers];
    const url = await serve(t, () => [left.shift(), {}]);
    assert.equal(await new BrokerSession({ url, headers: {}, credentials: 'omit' }, 'ses_1').end(), known);
    assert.deepEqual(left, []);
  });

test('an end that never reaches the broker is lost', async () => {
  const access = { url: 'http://127.0.0.1:9/', headers: {}, credentials: 'omit' };
  assert.equal(await new BrokerSession(access, 'ses_1').end(), false);
});

test('a heartbeat rejects only when the session has ended', async (t) => {
  const answers = [
    [200, { state: 'ended', message: 'An operator ended it.' }],
    [409, { code: 'session-ended', detail: 'It is over.' }],
    [500, { code: 'internal' }],
    [200, '<html>'],
  ];
  const url = await serve(t, () => answers.shift());
  const session = new BrokerSession({ url, headers: {}, credentials: 'omit' }, 'ses_1');
  await assert.rejects(session.heartbeat(), { reason: 'session-ended', detail: 'An operator ended it.' });
  await assert.rejects(session.heartbeat(), { reason: 'session-ended', detail: 'It is over.' });
  await session.heartbeat();
  await session.heartbeat();
});
