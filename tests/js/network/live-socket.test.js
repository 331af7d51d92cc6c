import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { connect } from '../../../web/live/network/raw-session.js';
import { LiveError } from '../../../web/live/shared/errors.js';
import { FakeWebSocket, settle, virtualTime, wire } from '../support.js';

const TICKET = { token: 'auth_tokens/TKN123', url: 'ws://live.test/ws/Service.Constrained' };

beforeEach(() => FakeWebSocket.install());
afterEach(() => {
  for (const socket of FakeWebSocket.made) if (socket.readyState !== 3) socket.drop(1000);
});

test('puts the token where the answer says, in the same form as the official SDK', () => {
  connect({ ...TICKET, auth: { in: 'query', name: 'access_token' } }).catch(() => {});
  const [, query] = wire('connect-token.js-sdk.json').path.split('?');
  assert.equal(FakeWebSocket.last.url, `${TICKET.url}?${query}`);
});

test('escapes characters of the token that would change the URL', () => {
  connect({ ...TICKET, token: 'auth_tokens/a&b=c#d e' }).catch(() => {});
  assert.equal(new URL(FakeWebSocket.last.url).searchParams.get('access_token'), 'auth_tokens/a&b=c#d e');
});

test('rejects a token in a header, which a browser cannot set', async () => {
  await assert.rejects(connect({ ...TICKET, auth: { in: 'header', name: 'Authorization' } }), {
    reason: 'unsupported',
  });
  assert.equal(FakeWebSocket.made.length, 0);
});

test('resolves only after setupComplete', async () => {
  let ready = false;
  const opening = connect(TICKET).then(() => (ready = true));
  FakeWebSocket.last.open();
  await settle();
  assert.equal(ready, false);
  FakeWebSocket.last.serve({ setupComplete: {} });
  await opening;
});

test('reads text, ArrayBuffer and Blob frames in the order of arrival', async () => {
  const seen = [];
  const opening = connect({ ...TICKET, callbacks: { onmessage: (message) => seen.push(message.n ?? 'setup') } });
  const socket = FakeWebSocket.last;
  socket.open();
  socket.serve({ setupComplete: {} }, (text) => new Blob([text]));
  socket.serve({ n: 1 }, (text) => text);
  socket.serve({ n: 2 }, (text) => new Blob([text]));
  socket.serve({ n: 3 });
  socket.serve({ n: 4 }, (text) => text);
  await opening;
  await settle();
  assert.deepEqual(seen, ['setup', 1, 2, 3, 4]);
});

test('delivers no message after the close', async () => {
  const seen = [];
  const callbacks = { onmessage: () => seen.push('message'), onclose: () => seen.push('close') };
  connect({ ...TICKET, callbacks }).catch(() => seen.push('rejected'));
  FakeWebSocket.last.open();
  FakeWebSocket.last.serve({ goAway: {} }, (text) => new Blob([text]));
  FakeWebSocket.last.drop(1011, 'Internal error occurred.');
  await settle();
  assert.deepEqual(seen, ['message', 'close', 'rejected']);
});

test('a close before setupComplete rejects with the reason', async () => {
  const opening = connect(TICKET);
  FakeWebSocket.last.open();
  FakeWebSocket.last.drop(1011, 'Token has been used too many times');
  await assert.rejects(opening, { reason: 'connection-refused', closeCode: 1011 });
});

test('a frame that is not JSON is reported and does not end the session', async () => {
  const errors = [];
  const opening = connect({ ...TICKET, callbacks: { onerror: (error) => errors.push(error) } });
  FakeWebSocket.last.open();
  FakeWebSocket.last.serve('<html>');
  FakeWebSocket.last.serve({ setupComplete: {} });
  await opening;
  assert.equal(errors.length, 1);
  assert.ok(errors[0] instanceof LiveError);
});

test('an abort rejects at once and closes the socket with 1000', async () => {
  const controller = new AbortController();
  const opening = connect({ ...TICKET, signal: controller.signal });
  FakeWebSocket.last.open();
  controller.abort();
  await assert.rejects(opening, { reason: 'aborted' });
  assert.equal(FakeWebSocket.last.closedWith, 1000);
});

test('sends nothing after the socket has closed', async () => {
  const opening = connect(TICKET);
  FakeWebSocket.last.open();
  FakeWebSocket.last.serve({ setupComplete: {} });
  const session = await opening;
  FakeWebSocket.last.drop(1006);
  session.sendRealtimeInput({ text: 'too late' });
  assert.equal(FakeWebSocket.last.sent.length, 1);
});

test('rejects and closes the socket when the service does not answer within ten seconds', async (t) => {
  const pass = virtualTime(t);
  const failed = connect(TICKET).catch((error) => error);
  FakeWebSocket.last.open();
  await pass(9900);
  assert.equal(FakeWebSocket.last.closedWith, undefined);
  await pass(200);
  assert.equal((await failed).reason, 'network');
  assert.equal(FakeWebSocket.last.closedWith, 1000);
});
