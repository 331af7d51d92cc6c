/** Nothing that the service sends ends a conversation. Each malformed frame costs itself, or a part of itself. */
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Conversation } from '../../web/live/conversation/conversation.js';
import { Transcript } from '../../web/live/conversation/transcript.js';
import { NetworkSession } from '../../web/live/network/network-session.js';
import { Diagnostics } from '../../web/live/shared/diagnostics.js';
import { readServerMessage } from '../../web/live/shared/protocol.js';
import { readSources } from '../../web/live/shared/sources.js';
import '../../web/live/conversation/tool-runner.js'; // loaded before the first call
import { brokenAudio, deepFrames, frames, garbage, mistyped } from './malformed-frames.js';
import { FakeWebSocket, settle } from './support.js';

const string = (value) => typeof value === 'string';
const bool = (value) => typeof value === 'boolean';
const plain = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (check) => (value) => Array.isArray(value) && value.every(check);
const words = { text: string, finished: bool, language: (value) => value === undefined || string(value) };
const isCall = ({ id, name, args }) => string(id) && id !== '' && string(name) && plain(args);
/** The type of each field of each fact. */
const FACTS = {
  setupComplete: {},
  interrupted: {},
  generationComplete: {},
  turnComplete: { reason: (value) => value === undefined || string(value) },
  audio: { data: string, mimeType: string },
  modelText: { text: string, thought: bool },
  inputText: words,
  outputText: words,
  interimInputText: words,
  grounding: { metadata: plain },
  waitingForInput: {},
  interactionStatus: { status: string },
  voiceActivity: { active: bool },
  toolCall: { calls: listOf(isCall) },
  toolCallCancellation: { ids: listOf(string) },
  usage: { usage: plain },
  resumption: { handle: (value) => value === null || string(value) },
  goAway: { timeLeftSeconds: Number.isFinite },
  unknown: { key: string },
  unreadable: { key: string },
};

test('there are at least 600 malformed frames, of every documented frame', () => {
  assert.ok(mistyped.length + brokenAudio.length + garbage.length >= 600);
  const keys = new Set(frames.flatMap((frame) => Object.keys(frame)));
  for (const key of keys) assert.ok(mistyped.some(({ at }) => at.startsWith(key)));
});

test('facts have the promised types, whatever the frame has', () => {
  for (const { frame, at, value } of mistyped) {
    for (const { type, ...fields } of readServerMessage(frame)) {
      assert.ok(Object.hasOwn(FACTS, type), type);
      for (const [name, check] of Object.entries(FACTS[type]))
        assert.ok(check(fields[name]), `${at} = ${JSON.stringify(value)}: ${type}.${name}`);
    }
  }
});

/** Fields whose wrong type is a fault. Others are only passed on, or are read late. */
const READ =
  /(text|newHandle|timeLeft|mimeType|data|name|args|languageCode|type|interactionStatus|parts|functionCalls)$/;
test('a wrong type in a field that is read is counted, and the rest of the frame is kept', () => {
  const wrong = mistyped.filter(({ at, value }) => READ.test(at) && (value === 0 || value === true));
  assert.ok(wrong.length > 40);
  for (const { frame, at } of wrong)
    assert.ok(
      readServerMessage(frame).some(({ type }) => type === 'unreadable'),
      at,
    );
  const [first, second] = readServerMessage({
    serverContent: { modelTurn: { parts: [null, { text: 'a' }, 5] }, outputTranscription: { text: 'b' } },
  }).filter(({ type }) => type !== 'unreadable');
  assert.deepEqual([first.text, second.text], ['a', 'b']);
});

test('sources of every shape are read without a fault', () => {
  for (const { frame } of mistyped) {
    const metadata = frame.serverContent?.groundingMetadata;
    if (plain(metadata)) readSources(metadata);
  }
  for (const groundingChunks of [
    null,
    5,
    'x',
    [null],
    [5],
    [{ web: null }],
    [{ web: 5 }],
    [{ web: { uri: 5, title: {} } }],
  ])
    assert.deepEqual(readSources({ groundingChunks, webSearchQueries: [5, null, 'a'] }), { links: [], queries: ['a'] });
});

beforeEach(() => FakeWebSocket.install());

/** A conversation whose network is fed by the test, as on a page. */
async function talking(t) {
  const [page, playback] = [new MessageChannel(), new MessageChannel()];
  const reports = [];
  const diagnostics = new Diagnostics();
  const conversation = new Conversation(
    {
      emit: () => {},
      send: () => {},
      changed: () => {},
      speaker: { running: true, latencySeconds: 0 },
      hold: () => {},
      transcript: new Transcript(),
      diagnostics,
    },
    { tools: {} },
    's1',
  );
  page.port1.onmessage = ({ data }) => {
    reports.push(data);
    if (data.type === 'message') conversation.receive(data.message, data.facts, data);
    else if (data.type === 'unreadable') diagnostics.unreadable();
    else if (data.type === 'ask')
      page.port1.postMessage({ type: 'reply', id: data.id, value: data.what === 'plan' ? { answer } : [] });
  };
  const session = new NetworkSession(page.port2);
  const answer = { token: 't', url: 'ws://live.test/ws', setup: { model: 'models/m' } };
  page.port1.postMessage({ type: 'start', plan: { answer }, playback: playback.port2, muted: false }, [playback.port2]);
  t.after(async () => {
    page.port1.postMessage({ type: 'stop', pageEnds: true });
    await settle();
    for (const { port1 } of [page, playback]) port1.close();
  });
  while (!FakeWebSocket.last) await settle();
  const socket = FakeWebSocket.last;
  socket.open();
  socket.serve({ setupComplete: {} });
  await settle();
  return { session, socket, reports, diagnostics, conversation };
}

/** `goAway` and a correct end of a turn have their usual effects. */
const harmless = mistyped.filter(({ frame }) => !readServerMessage(frame).some(({ type }) => type === 'goAway'));

test('no malformed frame ends the conversation, and each is counted', async (t) => {
  const talk = await talking(t);
  const { socket, reports, diagnostics } = talk;
  const types = () => new Set(reports.map(({ type }) => type));
  for (const { frame } of harmless) socket.serve(frame);
  await settle();
  const before = diagnostics.snapshot().unreadable;
  for (const frame of brokenAudio) socket.serve(frame);
  for (const data of garbage) socket.onmessage({ data });
  for (const data of deepFrames) socket.onmessage({ data });
  await settle();
  assert.equal(diagnostics.snapshot().unreadable - before, brokenAudio.length + garbage.length + deepFrames.length);
  for (const type of ['failed', 'broken', 'reconnecting']) assert.equal(types().has(type), false, type);
  assert.equal(FakeWebSocket.made.length, 1);
  socket.serve({ serverContent: { modelTurn: { parts: [{ text: 'still here', thought: true }] } } });
  await settle();
  assert.equal(reports.at(-1).facts[0].text, 'still here');
});

test('as many unknown names as a service likes take a bounded amount of memory', () => {
  const diagnostics = new Diagnostics();
  for (let n = 0; n < 1000; n++)
    for (const { key } of readServerMessage({ [`${n}${'x'.repeat(5000)}`]: 1 })) diagnostics.unknown(key);
  const { unknownKeys } = diagnostics.snapshot();
  assert.equal(unknownKeys.length, 100);
  assert.ok(unknownKeys.every((key) => key.length <= 200));
});

test('a fault of the network’s own code costs a connection, not the conversation', async (t) => {
  const { session, reports } = await talking(t);
  session.fault('The network worker failed: boom');
  await settle();
  assert.equal(FakeWebSocket.made.length, 2);
  FakeWebSocket.last.open();
  FakeWebSocket.last.serve({ setupComplete: {} });
  await settle();
  const of = (type) => reports.filter((report) => report.type === type);
  assert.equal(of('reconnected').length, 1);
  assert.match(of('reconnecting')[0].reason, /boom/);
  assert.equal(of('failed').length, 0);
});
