import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { NetworkSession } from '../../../web/live/network/network-session.js';
import { FakeWebSocket, serve, settle, virtualTime } from '../support.js';

const ANSWER = {
  token: 'auth_tokens/secret',
  url: 'ws://live.test/ws',
  setup: { model: 'models/m' },
  session: { id: 'ses_1' },
};
const CHUNK = 640;

beforeEach(() => FakeWebSocket.install());

/** A started NetworkSession with all its ports and the messages from them. */
async function started(t, { muted = false, history, plan = { answer: ANSWER } } = {}) {
  const [page, playback, capture] = [new MessageChannel(), new MessageChannel(), new MessageChannel()];
  const channels = [page, playback, capture];
  const reports = [];
  const orders = [];
  page.port1.onmessage = ({ data }) => {
    reports.push(data);
    if (data.what === 'history') post({ type: 'reply', id: data.id, value: history });
  };
  playback.port1.onmessage = ({ data }) => orders.push(data);
  const session = new NetworkSession(page.port2);
  const post = (command, transfer = []) => page.port1.postMessage(command, transfer);
  post({ type: 'start', plan, playback: playback.port2, capture: capture.port2, muted, hasHistory: !!history }, [
    playback.port2,
    capture.port2,
  ]);
  t.after(async () => {
    post({ type: 'stop', pageEnds: true });
    await settle();
    for (const { port1 } of channels) port1.close();
  });
  while (!FakeWebSocket.last) await settle();
  const socket = FakeWebSocket.last;
  socket.open();
  return {
    session,
    post,
    socket,
    reports,
    orders,
    of: (type) => reports.filter((report) => report.type === type),
    async until(what) {
      for (let tries = 0; !what(); tries++) {
        assert.ok(tries < 100, `${what}`);
        await settle();
      }
    },
    async speak(first, count) {
      for (let n = first; n < first + count; n++) {
        const chunk = new Uint8Array(CHUNK).fill(n).buffer;
        capture.port1.postMessage(chunk, [chunk]);
      }
      await settle();
    },
    async ready() {
      socket.serve({ setupComplete: {} });
      await settle();
    },
    async serve(...messages) {
      for (const message of messages) socket.serve(message);
      await settle();
    },
  };
}

const audio = (...bytes) => ({
  modelTurn: {
    parts: [{ inlineData: { mimeType: 'audio/pcm;rate=24000', data: Buffer.from(bytes).toString('base64') } }],
  },
});
/** The first byte of each chunk that was sent. */
const spoken = (socket) =>
  socket.messages
    .filter((m) => m.realtimeInput?.audio)
    .map((m) => Buffer.from(m.realtimeInput.audio.data, 'base64')[0]);

test('sends input from before setupComplete after it, in order', async (t) => {
  const net = await started(t);
  await net.speak(1, 3);
  net.post({ type: 'send', message: { realtimeInput: { text: 'typed' } } });
  await settle();
  assert.deepEqual(net.socket.messages, [{ setup: ANSWER.setup }]);
  await net.ready();
  await net.speak(4, 2);
  assert.deepEqual(spoken(net.socket), [1, 2, 3, 4, 5]);
  assert.ok(net.socket.messages.some((m) => m.realtimeInput?.text === 'typed'));
});

test('a new session receives the earlier conversation first', async (t) => {
  const history = [{ role: 'user', parts: [{ text: 'My name is Ada.' }] }];
  const net = await started(t, { history });
  await net.speak(1, 1);
  await net.ready();
  assert.deepEqual(net.socket.messages[1], { clientContent: { turns: history, turnComplete: false } });
  assert.deepEqual(spoken(net.socket), [1]);
});

test('holds audio back while the microphone is on hold and sends it in order afterwards', async (t) => {
  const net = await started(t);
  await net.ready();
  net.post({ type: 'hold', held: true });
  await net.speak(1, 3);
  assert.deepEqual(spoken(net.socket), []);
  net.post({ type: 'hold', held: false });
  await net.speak(4, 1);
  assert.deepEqual(spoken(net.socket), [1, 2, 3, 4]);
});

test('the page receives the model and the terms of the token, never the token', async (t) => {
  const more = { model: 'models/m', profile: 'default', locked: ['model'], limits: { rate: [] }, connect_within: 120 };
  const net = await started(t, { plan: { answer: { ...ANSWER, ...more } } });
  await net.ready();
  const [{ model, setup, terms }] = net.of('granted');
  assert.deepEqual([model, setup], ['models/m', ANSWER.setup]);
  assert.deepEqual([terms.profile, terms.locked, terms.limits], ['default', ['model'], { rate: [] }]);
  assert.equal(terms.connect_within, 120);
  assert.equal(JSON.stringify(net.reports).includes(ANSWER.token), false);
});

test('discards a picture that would have to wait', async (t) => {
  const net = await started(t);
  /** Posts a port in place of a bitmap: it can be sent to a worker and closed there too. */
  const show = async () => {
    const { port1, port2 } = new MessageChannel();
    const closed = new Promise((resolve) => port1.on('close', () => resolve('closed')));
    net.post({ type: 'picture', bitmap: port2 }, [port2]);
    assert.equal(await closed, 'closed');
  };
  await show();
  await net.ready();
  net.socket.bufferedAmount = 20_000;
  await show();
  assert.equal(net.socket.messages.length, 1);
});

test('keeps the newest 5 seconds before setupComplete and counts the rest', async (t) => {
  const net = await started(t);
  await net.speak(0, 255);
  await net.ready();
  assert.deepEqual(spoken(net.socket).length, 250);
  assert.equal(spoken(net.socket)[0], 5);
  await net.until(() => net.of('network').at(-1)?.droppedMs === 100);
});

test('a slow network holds audio in the queue, not in the socket, and is reported', async (t) => {
  const net = await started(t);
  await net.ready();
  net.socket.bufferedAmount = 70_000;
  await net.speak(1, 260);
  assert.equal(spoken(net.socket).length, 0);
  await net.until(() => net.of('network').length > 0);
  net.socket.bufferedAmount = 20_000;
  await net.speak(99, 1);
  assert.equal(spoken(net.socket).length, 250);
  net.socket.bufferedAmount = 16_000;
  await net.speak(100, 1);
  await net.until(() => net.of('network').at(-1).state === 'ok');
  assert.deepEqual([...new Set(net.of('network').map(({ state }) => state))], ['slow', 'ok']);
  assert.equal(net.of('network').at(-1).droppedMs, 220);
});

test('muting sends one audioStreamEnd and no audio', async (t) => {
  const net = await started(t);
  await net.ready();
  await net.speak(1, 1);
  net.post({ type: 'mute', muted: true });
  net.post({ type: 'mute', muted: true });
  await net.speak(2, 5);
  net.post({ type: 'mute', muted: false });
  await net.speak(7, 1);
  assert.deepEqual(spoken(net.socket), [1, 7]);
  assert.equal(net.socket.messages.filter((m) => m.realtimeInput?.audioStreamEnd).length, 1);
});

test('sends audio to the worklet and everything else to the page', async (t) => {
  const net = await started(t);
  await net.ready();
  await net.serve({
    serverContent: { ...audio(1, 0, 2, 0), outputTranscription: { text: 'hi' } },
    usageMetadata: { totalTokenCount: 1 },
  });
  assert.deepEqual([...net.orders[0].samples], [1, 2]);
  const { message } = net.of('message').at(-1);
  assert.equal(message.serverContent.outputTranscription.text, 'hi');
  assert.deepEqual(message.serverContent.modelTurn.parts, [{ inlineData: { mimeType: 'audio/pcm;rate=24000' } }]);
});

test('counts turns and cuts the current turn at an interruption', async (t) => {
  const net = await started(t);
  await net.ready();
  await net.serve(
    { serverContent: { inputTranscription: { text: 'one?' } } },
    { serverContent: audio(1, 0) },
    { serverContent: { generationComplete: true } },
    { serverContent: { turnComplete: true } },
    { serverContent: audio(2, 0, 3, 0) },
    { serverContent: { interrupted: true } },
    { serverContent: { turnComplete: true } },
    { serverContent: audio(4, 0) },
  );
  assert.deepEqual(
    net.orders.map(({ type, turn }) => `${type} ${turn}`),
    ['audio 1', 'finish 1', 'finish 1', 'audio 2', 'cut 2', 'finish 2', 'audio 3'],
  );
  assert.deepEqual(
    net
      .of('message')
      .slice(1)
      .map(({ turn, position }) => [turn, position]),
    [
      [1, 0],
      [1, 0],
      [1, 1],
      [1, 1],
      [2, 0],
      [2, 2],
      [2, 2],
      [3, 0],
    ],
  );
});

test('words that come after the end of a turn are its own, unless somebody has spoken or asked since', async (t) => {
  const pass = virtualTime(t);
  const net = await started(t);
  await net.ready();
  const heard = (text) => ({ serverContent: { inputTranscription: { text } } });
  const turnOf = (text) =>
    net.of('message').find(({ message }) => message.serverContent?.inputTranscription?.text === text).turn;
  const over = { serverContent: { turnComplete: true } };
  await net.serve({ serverContent: audio(1, 0) }, over, heard('late'), over, heard('later'));
  assert.deepEqual([turnOf('late'), turnOf('later')], [1, 1]);
  assert.ok(net.session.idle(), 'nobody waits for an answer to it');
  await net.serve({ serverContent: { ...audio(1, 0), ...heard('with sound').serverContent } });
  assert.equal(turnOf('with sound'), 2);
  await net.serve(over);
  net.post({ type: 'send', message: { realtimeInput: { text: 'next' } }, typed: 1 });
  await settle();
  await net.serve(heard('after a question'));
  assert.equal(turnOf('after a question'), 3);
  await net.serve(over);
  await pass(2100);
  await net.serve(heard('much later'));
  assert.equal(turnOf('much later'), 4);
});

/** Serves a turn, stops it in the middle and returns what was sent about it. */
async function stopped(t, plan = { answer: ANSWER }) {
  const net = await started(t, { plan });
  await net.ready();
  await net.serve({ serverContent: audio(1, 0) });
  const before = net.socket.messages.length;
  net.post({ type: 'interrupt', heard: true, at: 7 });
  await net.until(() => net.of('stopped').length > 0);
  await settle();
  return { net, told: net.socket.messages.slice(before) };
}

test('a stopped turn is cut at once, and nothing of it belongs to the next one', async (t) => {
  const { net } = await stopped(t);
  assert.deepEqual(net.orders.at(-1), { type: 'cut', turn: 1, receivedAt: 7 });
  assert.deepEqual(net.of('stopped'), [{ type: 'stopped', turn: 1 }]);
  const words = (text) => ({ serverContent: { outputTranscription: { text } } });
  await net.serve(
    { serverContent: { ...audio(2, 0), outputTranscription: { text: 'rest' } } },
    { serverContent: { interrupted: true } },
    words('late'),
    { serverContent: { turnComplete: true } },
    words('later'),
    { serverContent: { ...audio(3, 0), outputTranscription: { text: 'next' } } },
    { serverContent: { turnComplete: true } },
  );
  const turns = net
    .of('message')
    .filter(({ message }) => message.serverContent?.outputTranscription)
    .map(({ message, turn }) => `${message.serverContent.outputTranscription.text} ${turn}`);
  assert.deepEqual(turns, ['rest 1', 'late 1', 'later 1', 'next 2']);
  // The worklet drops what follows a cut of the same turn.
  assert.deepEqual(
    net.orders.slice(1).map(({ type, turn }) => `${type} ${turn}`),
    ['cut 1', 'audio 1', 'cut 1', 'finish 1', 'audio 2', 'finish 2'],
  );
});

test('words may come before the audio of an answer that the user asked for', async (t) => {
  const { net } = await stopped(t);
  await net.serve({ serverContent: { interrupted: true } }, { serverContent: { turnComplete: true } });
  net.post({ type: 'send', message: { realtimeInput: { text: 'And?' } } });
  await settle();
  await net.serve({ serverContent: { outputTranscription: { text: 'Then' } } });
  assert.equal(net.of('message').at(-1).turn, 2);
});

test('a stop sends the message that interrupts the model, or none if the model takes none', async (t) => {
  const content = [{ clientContent: { turnComplete: false } }];
  const manual = { realtimeInputConfig: { automaticActivityDetection: { disabled: true } } };
  const plan = (model, setup = {}) => ({ answer: { ...ANSWER, setup: { model, ...setup } } });
  for (const [model, setup, expected] of [
    ['models/gemini-3.8-live', {}, content],
    ['models/gemini-2.5-flash-native-audio-preview-12-2025', manual, content],
    ['models/gemini-3.5-live-translate-preview', {}, []],
    [
      'models/gemini-3.5-live-translate-preview',
      manual,
      [{ realtimeInput: { activityStart: {} } }, { realtimeInput: { activityEnd: {} } }],
    ],
  ]) {
    FakeWebSocket.install();
    const { told } = await stopped(t, plan(model, setup));
    assert.deepEqual(told, expected, model);
  }
});

test('a stop without an answer does nothing, and one of an ended turn tells nobody', async (t) => {
  const net = await started(t);
  await net.ready();
  net.post({ type: 'interrupt', heard: false, at: 1 });
  await net.serve({ serverContent: { inputTranscription: { text: 'one?' } } });
  net.post({ type: 'interrupt', heard: false, at: 2 });
  await settle();
  assert.deepEqual([net.orders, net.of('stopped')], [[], []]);
  await net.serve({ serverContent: audio(1, 0) }, { serverContent: { turnComplete: true } });
  const before = net.socket.messages.length;
  net.post({ type: 'interrupt', heard: true, at: 3 });
  await net.until(() => net.of('stopped').length > 0);
  await settle();
  assert.deepEqual(net.orders.at(-1), { type: 'cut', turn: 1, receivedAt: 3 });
  assert.equal(net.socket.messages.length, before);
});

test('a stop cuts the turn that is heard, not the one that the user has begun', async (t) => {
  const net = await started(t);
  await net.ready();
  await net.serve(
    { serverContent: audio(1, 0) },
    { serverContent: { turnComplete: true } },
    { serverContent: { inputTranscription: { text: 'two?' } } },
  );
  net.post({ type: 'interrupt', heard: true, at: 3 });
  await net.until(() => net.of('stopped').length > 0);
  assert.equal(net.of('stopped')[0].turn, 1);
  await net.serve({ serverContent: audio(2, 0) });
  assert.deepEqual([net.orders.at(-1).type, net.orders.at(-1).turn], ['audio', 2]);
});

test('reports the session to the page, never the token', async (t) => {
  const net = await started(t);
  await net.ready();
  assert.deepEqual(net.of('granted')[0].session, { id: 'ses_1' });
  assert.ok(!JSON.stringify(net.reports).includes('auth_tokens'));
  assert.deepEqual(
    net.reports.map(({ type }) => type),
    ['hello', 'granted', 'opened', 'message', 'clock', 'ready'],
  );
});

test('reports a final close once, with its reason', async (t) => {
  const net = await started(t);
  await net.ready();
  net.socket.drop(1011, 'You exceeded your current quota, please check your plan and billing details.');
  await settle();
  assert.deepEqual(
    net.of('failed').map(({ error }) => error.reason),
    ['connection-refused'],
  );
});

test('a stop closes the socket with 1000 and reports no failure', async (t) => {
  const net = await started(t);
  await net.ready();
  net.post({ type: 'stop', pageEnds: true });
  await settle();
  assert.equal(net.socket.closedWith, 1000);
  assert.deepEqual(net.of('failed'), []);
});

test('a stop before setupComplete closes the socket too', async (t) => {
  const net = await started(t);
  net.post({ type: 'stop', pageEnds: true });
  await settle();
  assert.equal(net.socket.closedWith, 1000);
  assert.deepEqual(net.of('failed'), []);
});

test('requests the token itself, sends heartbeats and ends with the broker’s session', async (t) => {
  const pass = virtualTime(t);
  const asked = [];
  const url = await serve(t, (request) => {
    asked.push(request.url);
    if (request.url === '/token') return [200, { ...ANSWER, session: { id: 'ses_1', heartbeat_seconds: 30 } }];
    return [200, asked.length < 4 ? { state: 'open' } : { state: 'ended', message: 'Time is up.' }];
  });
  const request = { url: `${url}token`, headers: {}, body: '{}', credentials: 'omit' };
  const net = await started(t, { plan: { request } });
  await net.ready();
  for (let beat = 0; beat < 3; beat++) {
    await pass(30_500, 500);
    await net.until(() => asked.filter((path) => path.endsWith('/heartbeat')).length > beat);
    await settle();
  }
  await net.until(() => net.of('failed').length > 0);
  assert.deepEqual(
    asked.filter((path) => !path.endsWith('/report')),
    ['/token', ...Array(3).fill('/sessions/ses_1/heartbeat')],
  );
  assert.deepEqual(
    net.of('failed').map(({ error }) => [error.reason, error.detail]),
    [['session-ended', 'Time is up.']],
  );
  assert.equal(net.socket.closedWith, 1000);
});

test('reports each message of the operators once', async (t) => {
  const pass = virtualTime(t);
  const messages = [undefined, 'We stop at six.', 'We stop at six.', undefined, 'We stop at six.', 7];
  let beats = 0;
  const url = await serve(t, ({ url: path }) => {
    if (path === '/token') return [200, { ...ANSWER, session: { id: 'ses_1', heartbeat_seconds: 30 } }];
    return [200, path.endsWith('/heartbeat') ? { state: 'open', message: messages[beats++] } : {}];
  });
  const net = await started(t, {
    plan: { request: { url: `${url}token`, headers: {}, body: '{}', credentials: 'omit' } },
  });
  await net.ready();
  for (let beat = 1; beat <= messages.length; beat++) {
    await pass(30_500, 500);
    await net.until(() => beats >= beat);
    await settle();
  }
  assert.deepEqual(
    net.of('notice').map(({ text }) => text),
    ['We stop at six.', 'We stop at six.'],
  );
});

test('tells once when three heartbeats in a row fail, whatever blocks them', async (t) => {
  const pass = virtualTime(t);
  const answers = [503, 200, 403, 500, 429, 500, 200];
  let beats = 0;
  const url = await serve(t, ({ url: path }) => {
    if (path === '/token') return [200, { ...ANSWER, session: { id: 'ses_1', heartbeat_seconds: 30 } }];
    return path.endsWith('/heartbeat') ? [answers[beats++], { state: 'open' }] : [200, {}];
  });
  const net = await started(t, {
    plan: { request: { url: `${url}token`, headers: {}, body: '{}', credentials: 'omit' } },
  });
  await net.ready();
  const told = [];
  for (let beat = 1; beat <= answers.length; beat++) {
    await pass(30_500, 500);
    await net.until(() => beats >= beat);
    await settle();
    told.push(net.of('warning').length);
  }
  assert.deepEqual(told, [0, 0, 0, 0, 1, 1, 1]);
  assert.equal(net.of('warning')[0].code, 'heartbeats-lost');
  assert.deepEqual(net.of('failed'), []);
});

test('sends the page’s current figures to the broker every minute', async (t) => {
  const pass = virtualTime(t);
  const received = [];
  const url = await serve(t, ({ url: path }, body) => {
    if (path === '/token') return [200, { ...ANSWER, session: { id: 'ses_1' } }];
    received.push([path, JSON.parse(body)]);
    return [204, ''];
  });
  const net = await started(t, {
    plan: { request: { url: `${url}token`, headers: {}, body: '{}', credentials: 'omit' } },
  });
  await net.ready();
  for (let minute = 1; minute <= 2; minute++) {
    await pass(minute === 1 ? 59_000 : 57_500, 500);
    assert.equal(received.length, minute - 1, 'not before the minute is over');
    await pass(2500, 500);
    await net.until(() => net.of('ask').length === minute);
    net.post({ type: 'reply', id: net.of('ask').at(-1).id, value: { turns: minute } });
    await net.until(() => received.length === minute);
  }
  assert.deepEqual(
    net.of('ask').map(({ what }) => what),
    ['report', 'report'],
  );
  assert.deepEqual(
    received,
    [1, 2].map((turns) => ['/sessions/ses_1/report', { turns }]),
  );
});

test('an expired sign-in ends the conversation with its slice, unless the app provides a new one', async (t) => {
  const pass = virtualTime(t);
  const valid = new Set(['old']);
  const beats = [];
  const slice = { expires_in: 900, expires_at: '2026-01-01T00:15:00Z' };
  const session = { id: 'ses_1', heartbeat_seconds: 30, ends_at: '2026-01-01T01:00:00Z' };
  const url = await serve(t, ({ url: path, headers }) => {
    if (path === '/token') return [200, { ...ANSWER, ...slice, session }];
    beats.push(headers['x-sign-in']);
    return valid.has(headers['x-sign-in']) ? [200, { state: 'open' }] : [401, { code: 'token-expired' }];
  });
  const requestOf = (signIn) => ({
    url: `${url}token`,
    headers: { 'X-Sign-In': signIn },
    body: '{}',
    credentials: 'omit',
  });
  const net = await started(t, { plan: { request: requestOf('old') } });
  await net.ready();
  let mine = 'old';
  let answered = 0;
  /** Lets the time of one heartbeat pass and answers the questions to the page. */
  const beat = async (until) => {
    await pass(30_500, 500);
    for (let tries = 0; !until(); tries++) {
      assert.ok(tries < 100, `${until}`);
      for (const { id } of net
        .of('ask')
        .filter(({ what }) => what === 'plan')
        .slice(answered)) {
        answered += 1;
        net.post({ type: 'reply', id, value: { request: requestOf(mine) } });
      }
      await settle();
    }
  };
  const minutesLeft = () => net.of('clock').map(({ remainingMs }) => Math.round(remainingMs / 60_000));
  valid.clear();
  await beat(() => net.of('clock').length === 2);
  assert.deepEqual(beats, ['old', 'old'], 'called the token source and tried again at once');
  assert.deepEqual(minutesLeft(), [60, 14]);
  mine = 'new';
  valid.add(mine);
  await beat(() => net.of('clock').length === 3);
  assert.deepEqual(beats.slice(2), ['old', 'new']);
  assert.deepEqual(minutesLeft().slice(2), [59]);
  assert.deepEqual(net.of('failed'), []);
});

test('converts audio of another rate to 24 kHz without seams between chunks', async (t) => {
  const net = await started(t);
  await net.ready();
  const sine = Int16Array.from({ length: 4800 }, (_, i) => 20000 * Math.sin((2 * Math.PI * 1000 * i) / 48000));
  const part = (samples) => ({
    serverContent: {
      modelTurn: {
        parts: [
          {
            inlineData: {
              mimeType: 'audio/pcm;rate=48000',
              data: Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength).toString('base64'),
            },
          },
        ],
      },
    },
  });
  await net.serve(part(sine.subarray(0, 1111)), part(sine.subarray(1111)), {
    serverContent: { generationComplete: true },
  });
  const samples = net.orders.filter(({ type }) => type === 'audio').flatMap((order) => [...order.samples]);
  assert.equal(net.orders.at(-1).type, 'finish');
  assert.ok(Math.abs(samples.length - 2400) <= 1, `${samples.length} samples`);
  // Away from the ends, the output is the same sine at half the rate. A seam would differ.
  for (let i = 100; i < 2300; i++) {
    const wanted = 20000 * Math.sin((2 * Math.PI * 1000 * i) / 24000);
    assert.ok(Math.abs(samples[i] - wanted) < 20, `sample ${i}: ${samples[i]} for ${wanted}`);
  }
});

test('counts a byte after the last whole sample and does not fail', async (t) => {
  const net = await started(t);
  await net.ready();
  await net.serve({ serverContent: audio(1, 0, 2) }, { serverContent: audio(3, 0) });
  assert.deepEqual(
    net.orders.map(({ samples, stray }) => [[...samples], stray]),
    [
      [[1], 1],
      [[3], 0],
    ],
  );
});

test('push-to-talk marks the activity where the setup disables detection, and includes the last syllable', async (t) => {
  const realtimeInputConfig = { automaticActivityDetection: { disabled: true } };
  const net = await started(t, { plan: { answer: { ...ANSWER, setup: { model: 'models/m', realtimeInputConfig } } } });
  net.post({ type: 'activity', active: false });
  await net.ready();
  await net.speak(1, 2);
  net.post({ type: 'activity', active: true });
  await settle();
  await net.speak(3, 2);
  net.post({ type: 'activity', active: false });
  await settle();
  await net.speak(5, 1);
  await new Promise((resolve) => setTimeout(resolve, 150));
  await net.speak(6, 1);
  const kinds = net.socket.messages.slice(1).map(({ realtimeInput }) => Object.keys(realtimeInput)[0]);
  assert.deepEqual(kinds, ['activityStart', 'audio', 'audio', 'audio', 'activityEnd']);
  assert.ok(spoken(net.socket).includes(5), 'the last syllable');
  assert.equal(net.of('granted')[0].manual, true);
});

test('sends nothing before the first press where the setup disables detection, even if the page does not know yet', async (t) => {
  const realtimeInputConfig = { automaticActivityDetection: { disabled: true } };
  const net = await started(t, { plan: { answer: { ...ANSWER, setup: { model: 'models/m', realtimeInputConfig } } } });
  await net.speak(1, 2);
  await net.ready();
  await net.speak(3, 1);
  assert.equal(net.socket.messages.length, 1, 'only the setup');
  net.post({ type: 'activity', active: true });
  await settle();
  await net.speak(4, 1);
  assert.deepEqual(spoken(net.socket), [4]);
});

test('sends push-to-talk speech from before the connection with its marks', async (t) => {
  const realtimeInputConfig = { automaticActivityDetection: { disabled: true } };
  const net = await started(t, { plan: { answer: { ...ANSWER, setup: { model: 'models/m', realtimeInputConfig } } } });
  net.post({ type: 'activity', active: false });
  net.post({ type: 'activity', active: true });
  await net.speak(1, 2);
  net.post({ type: 'activity', active: false });
  await new Promise((resolve) => setTimeout(resolve, 150));
  await net.ready();
  const kinds = net.socket.messages.slice(1).map(({ realtimeInput }) => Object.keys(realtimeInput)[0]);
  assert.deepEqual(kinds, ['activityStart', 'audio', 'audio', 'activityEnd']);
});

test('push-to-talk with automatic detection ends the audio stream on release', async (t) => {
  const net = await started(t);
  net.post({ type: 'activity', active: false });
  await net.ready();
  await net.speak(1, 2);
  net.post({ type: 'activity', active: true });
  await settle();
  await net.speak(3, 1);
  net.post({ type: 'activity', active: false });
  await new Promise((resolve) => setTimeout(resolve, 150));
  const kinds = net.socket.messages.slice(1).map(({ realtimeInput }) => Object.keys(realtimeInput)[0]);
  assert.deepEqual(kinds, ['audio', 'audioStreamEnd']);
  net.post({ type: 'activity', active: null });
  await settle();
  await net.speak(7, 1);
  assert.equal(spoken(net.socket).at(-1), 7);
});

test('new worklets take over the ports', async (t) => {
  const net = await started(t);
  await net.ready();
  const [playback, capture] = [new MessageChannel(), new MessageChannel()];
  t.after(() => {
    for (const { port1 } of [playback, capture]) port1.close();
  });
  const orders = [];
  playback.port1.onmessage = ({ data }) => orders.push(data);
  net.post({ type: 'ports', playback: playback.port2, capture: capture.port2 }, [playback.port2, capture.port2]);
  await settle();
  const chunk = new Uint8Array(CHUNK).fill(9).buffer;
  capture.port1.postMessage(chunk, [chunk]);
  await net.serve({ serverContent: audio(1, 0) });
  assert.deepEqual(
    orders.map(({ type }) => type),
    ['audio'],
  );
  assert.deepEqual(spoken(net.socket), [9]);
});

/** Breaks the connection and opens the next one. */
async function another(net, { code = 1006, reason = '', meanwhile = async () => {} } = {}) {
  const old = net.socket;
  old.drop(code, reason);
  await net.answerAsks(() => FakeWebSocket.last !== old);
  await meanwhile();
  net.socket = FakeWebSocket.last;
  net.socket.open();
  net.socket.serve({ setupComplete: {} });
  await net.answerAsks(() => net.of('reconnected').length > 0);
}

/** Adds a page that answers questions. */
function answering(net) {
  const answered = new Set();
  net.answerAsks = (done) =>
    net.until(() => {
      for (const { id, what } of net.of('ask')) {
        if (!answered.has(id)) net.post({ type: 'reply', id, value: what === 'plan' ? { answer: ANSWER } : [] });
        answered.add(id);
      }
      return done();
    });
  return net;
}

const handle = (newHandle) => ({ sessionResumptionUpdate: { newHandle, resumable: true } });
const toolCall = (id) => ({ toolCall: { functionCalls: [{ id, name: 'f' }] } });
const toolResponse = (id) => ({
  type: 'send',
  message: { toolResponse: { functionResponses: [{ id, name: 'f', response: {} }] } },
});
const typed = (text) => ({ type: 'send', message: { realtimeInput: { text } } });

test('sends speech, text and answers from a break on the next connection, in order', async (t) => {
  const net = answering(await started(t));
  await net.ready();
  await net.serve(toolCall('c1'), handle('h1'));
  await net.speak(1, 2);
  await another(net, {
    meanwhile: async () => {
      await net.speak(3, 3);
      net.post(typed('one'));
      net.post(toolResponse('c1'));
      net.post(typed('two'));
      await settle();
    },
  });
  await net.speak(6, 1);
  assert.deepEqual(spoken(net.socket), [3, 4, 5, 6]);
  const others = net.socket.messages.slice(1).filter((m) => !m.realtimeInput?.audio);
  assert.deepEqual(
    others.map((m) => m.realtimeInput?.text ?? Object.keys(m)[0]),
    ['one', 'toolResponse', 'two'],
  );
});

test('does not send an answer to a call that the handle does not include, because it would end the connection', async (t) => {
  const net = answering(await started(t));
  await net.ready();
  await net.serve(handle('h1'), toolCall('c1'));
  await another(net);
  net.post(toolResponse('c1'));
  net.post(typed('hello'));
  await settle();
  assert.deepEqual(
    net.of('broken').map(({ calls }) => calls),
    [['c1']],
  );
  assert.deepEqual(net.socket.messages.slice(1), [{ realtimeInput: { text: 'hello' } }]);
});

test('sends no answers to calls of the previous session', async (t) => {
  const net = answering(await started(t));
  await net.ready();
  await net.serve(toolCall('c1'), handle('h1'), { sessionResumptionUpdate: {} });
  net.socket.drop(1006);
  await net.answerAsks(() => FakeWebSocket.made.length === 2);
  FakeWebSocket.last.open();
  FakeWebSocket.last.drop(1008, 'Requested entity was not found.');
  await net.answerAsks(() => FakeWebSocket.made.length === 3);
  net.socket = FakeWebSocket.last;
  net.socket.open();
  net.socket.serve({ setupComplete: {} });
  await net.answerAsks(() => net.of('reconnected').length > 0);
  net.post(toolResponse('c1'));
  await settle();
  assert.equal(net.of('reconnected')[0].seeded, true);
  assert.deepEqual(
    net.socket.messages.filter((m) => m.toolResponse),
    [],
  );
});

test('a text that is sent to a new session is not in its history too: one without an answer, one that waited', async (t) => {
  const net = answering(await started(t));
  await net.ready();
  const line = (text, typed) => net.post({ type: 'send', message: { realtimeInput: { text } }, typed });
  line('one', 1);
  await settle();
  net.socket.drop(1006);
  await net.until(() => net.of('broken').length === 1);
  line('two', 2);
  await net.answerAsks(() => FakeWebSocket.made.length === 2);
  assert.deepEqual(
    net
      .of('ask')
      .filter(({ what }) => what === 'history')
      .map(({ detail }) => detail),
    [{ typedSent: 0, typedSaved: 0, missed: false }],
  );
  FakeWebSocket.last.open();
  FakeWebSocket.last.serve({ setupComplete: {} });
  await net.answerAsks(() => net.of('reconnected').length > 0);
  assert.deepEqual(
    FakeWebSocket.last.messages.filter((m) => m.realtimeInput),
    ['one', 'two'].map((text) => ({ realtimeInput: { text } })),
  );
});

const answer = [{ serverContent: audio(1, 0) }, { serverContent: { turnComplete: true } }];
for (const [when, messages, typedSaved] of [
  ['that comes before the answer does not include', [handle('h1'), ...answer], 0],
  ['that comes after the answer includes', [...answer, handle('h1'), { serverContent: audio(1, 0) }], 1],
])
  test(`a handle ${when} a typed text`, async (t) => {
    const net = answering(await started(t));
    await net.ready();
    net.post({ type: 'send', message: { realtimeInput: { text: 'one' } }, typed: 1 });
    await settle();
    await net.serve(...messages);
    net.socket.drop(1006);
    const asked = () => net.of('ask').find(({ what }) => what === 'history');
    await net.answerAsks(() => asked() !== undefined);
    assert.deepEqual(asked().detail, { typedSent: 1, typedSaved, missed: true });
  });

test('finishes a turn that a break cut off and counts the next audio as a new turn', async (t) => {
  const net = answering(await started(t));
  await net.ready();
  await net.serve(handle('h1'), { serverContent: audio(1, 0) });
  await another(net);
  net.socket.serve({ serverContent: audio(2, 0) });
  await settle();
  assert.deepEqual(
    net.orders.map(({ type, turn }) => `${type} ${turn}`),
    ['audio 1', 'finish 1', 'audio 2'],
  );
});

test('continues a push-to-talk activity on the next connection', async (t) => {
  const realtimeInputConfig = { automaticActivityDetection: { disabled: true } };
  const net = answering(
    await started(t, { plan: { answer: { ...ANSWER, setup: { model: 'models/m', realtimeInputConfig } } } }),
  );
  await net.ready();
  await net.serve(handle('h1'));
  net.post({ type: 'activity', active: false });
  net.post({ type: 'activity', active: true });
  await net.speak(1, 1);
  await another(net);
  await net.speak(2, 1);
  const kinds = net.socket.messages.slice(1).map(({ realtimeInput }) => Object.keys(realtimeInput)[0]);
  assert.deepEqual(kinds.slice(0, 2), ['activityStart', 'audio']);
});

test('a stop during the token request ends the session that the broker then grants', async (t) => {
  const asked = [];
  let grant = () => {};
  const url = await serve(t, async (request) => {
    asked.push(request.url);
    if (request.url === '/token') await new Promise((resolve) => (grant = resolve));
    return [200, ANSWER];
  });
  const page = new MessageChannel();
  const stopped = new Promise((resolve) => new NetworkSession(page.port2, () => resolve(undefined)));
  t.after(() => page.port1.close());
  const request = { url: `${url}token`, headers: {}, body: '{}', credentials: 'omit' };
  const { port2 } = new MessageChannel();
  page.port1.postMessage({ type: 'start', plan: { request }, playback: port2, muted: false }, [port2]);
  while (asked.length === 0) await settle();
  page.port1.postMessage({ type: 'stop', pageEnds: false });
  await settle();
  grant();
  await stopped;
  assert.deepEqual(asked, ['/token', '/sessions/ses_1/end']);
  assert.equal(FakeWebSocket.made.length, 0);
});

test('the words of a dictation need no answer, so the connection may change after them', async (t) => {
  for (const [model, idle] of [
    ['models/gemini-3.5-transcribe-live', true],
    ['models/gemini-3.8-live', false],
  ]) {
    await t.test(model, async (t) => {
      const net = await started(t, { plan: { answer: { ...ANSWER, setup: { model } } } });
      await net.ready();
      await net.serve({ serverContent: { inputTranscription: { text: 'Good day.' } } });
      assert.equal(net.session.idle(), idle);
    });
  }
});
