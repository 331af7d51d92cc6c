import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../../web/live/network/raw-session.js';
import { encodeBase64 } from '../../../web/live/shared/base64.js';
import { readServerMessage, withoutAudio } from '../../../web/live/shared/protocol.js';
import { FakeWebSocket, settle, wire, wireNames } from '../support.js';

const PCM = { data: encodeBase64(new Uint8Array([0, 1, 2, 3])), mimeType: 'audio/pcm;rate=16000' };
const JPEG = { data: encodeBase64(new Uint8Array([0xff, 0xd8])), mimeType: 'image/jpeg' };
const RESPONSE = { id: 'call_1', name: 'get_weather', response: { result: 'ok' }, scheduling: 'WHEN_IDLE' };

/** One entry for each captured message of the official SDK: the call that sends the same message. */
const CALLS = {
  'realtime-audio': (s) => s.sendRealtimeInput({ audio: PCM }),
  'realtime-video': (s) => s.sendRealtimeInput({ video: JPEG }),
  'realtime-text': (s) => s.sendRealtimeInput({ text: 'hi' }),
  'realtime-audio-and-text': (s) => s.sendRealtimeInput({ audio: PCM, text: 'both' }),
  'realtime-activity-start': (s) => s.sendRealtimeInput({ activityStart: {} }),
  'realtime-activity-end': (s) => s.sendRealtimeInput({ activityEnd: {} }),
  'realtime-audio-stream-end': (s) => s.sendRealtimeInput({ audioStreamEnd: true }),
  'client-content-text': (s) => s.sendClientContent({ turns: 'hello' }),
  'client-content-empty': (s) => s.sendClientContent(),
  'client-content-open-turns': (s) =>
    s.sendClientContent({
      turns: [
        { role: 'user', parts: [{ text: 'a' }] },
        { role: 'model', parts: [{ text: 'b' }] },
      ],
      turnComplete: false,
    }),
  'tool-response': (s) => s.sendToolResponse({ functionResponses: RESPONSE }),
  'context-update': (s) => s.sendContextUpdate({ systemInstruction: 'New rules.', tools: [] }),
};
/** The SDK sends `media` as a message for which current models close the connection. */
const MEDIA = {
  'realtime-media-audio': ['realtime-audio', (s) => s.sendRealtimeInput({ media: PCM })],
  'realtime-media-image': ['realtime-video', (s) => s.sendRealtimeInput({ media: JPEG })],
};
const SETUPS = ['setup-minimal', 'setup-rich'];
const capture = (name) => wire(`${name}.js-sdk.json`);

/** A session after its setup, and its socket. */
async function connected(setup) {
  FakeWebSocket.install();
  const opening = connect({ token: 'auth_tokens/TKN123', url: 'ws://live.test/ws', setup });
  FakeWebSocket.last.open();
  FakeWebSocket.last.serve({ setupComplete: {} });
  return { session: await opening, socket: FakeWebSocket.last };
}

test('this file covers every captured message of the official SDK', () => {
  const covered = [...Object.keys(CALLS), ...Object.keys(MEDIA), ...SETUPS].map((name) => `${name}.js-sdk.json`);
  const elsewhere = /^(connect|mint)-/; // live-socket.test.js tests the connection; the client mints no tokens
  assert.deepEqual(
    covered.sort(),
    wireNames('.js-sdk.json')
      .filter((name) => !elsewhere.test(name))
      .sort(),
  );
});

for (const [name, call] of Object.entries(CALLS)) {
  test(`sends what the official SDK sends: ${name}`, async () => {
    const { session, socket } = await connected();
    call(session);
    assert.deepEqual(socket.messages.slice(1), [capture(name)]);
  });
}

for (const [name, [sentAs, call]] of Object.entries(MEDIA)) {
  test(`sends ${name} as ${sentAs}, by its MIME type`, async () => {
    const { session, socket } = await connected();
    call(session);
    assert.deepEqual(socket.messages.slice(1), [capture(sentAs)]);
  });
}

for (const name of SETUPS) {
  test(`sends the setup first and unchanged: ${name}`, async () => {
    const { socket } = await connected(capture(name).setup);
    assert.deepEqual(socket.messages, [capture(name)]);
  });
}

test('rejects input for which the service would close the connection', async () => {
  const { session, socket } = await connected();
  assert.throws(() => session.sendRealtimeInput({ audio: JPEG }), TypeError);
  assert.throws(() => session.sendRealtimeInput({ video: PCM }), TypeError);
  assert.throws(() => session.sendToolResponse({ functionResponses: [] }), TypeError);
  assert.throws(() => session.sendToolResponse({ functionResponses: { name: 'x', response: {} } }), TypeError);
  await settle();
  assert.equal(socket.sent.length, 1);
});

/** The facts in each documented frame. */
const FACTS = {
  'setup-complete': ['setupComplete'],
  'resumption-update-early': ['resumption'],
  'resumption-update-not-resumable': ['resumption'],
  'resumption-update-empty': ['resumption'],
  'input-transcription': ['inputText'],
  'interim-input-transcription': ['interimInputText'],
  'model-audio': ['audio'],
  'output-transcription': ['outputText'],
  'several-keys-in-one-frame': ['audio', 'outputText', 'usage'],
  'generation-complete': ['generationComplete'],
  'turn-complete': ['usage', 'turnComplete'],
  'turn-complete-3.8': ['interactionStatus', 'turnComplete'],
  'turn-complete-still-working-extended-thinking': ['interactionStatus', 'turnComplete'],
  interrupted: ['interrupted'],
  'usage-alone': ['usage'],
  'tool-call': ['toolCall'],
  'tool-call-with-top-level-interaction-status': ['toolCall', 'interactionStatus'],
  'tool-call-cancellation': ['toolCallCancellation'],
  'voice-activity-start': ['voiceActivity'],
  'voice-activity-end': ['voiceActivity'],
  'go-away': ['goAway'],
  'go-away-fractional': ['goAway'],
};
const { frames } = wire('server-messages.derived.json');

for (const { case: name, frame } of frames) {
  test(`reads every key of a server frame: ${name}`, () => {
    assert.deepEqual(
      readServerMessage(frame).map(({ type }) => type),
      FACTS[name],
    );
  });
}

test('returns the values that a client acts on', () => {
  const facts = (name) => readServerMessage(frames.find((entry) => entry.case === name).frame);
  assert.deepEqual(facts('resumption-update-early'), [{ type: 'resumption', handle: 'HANDLE_1' }]);
  assert.deepEqual(facts('resumption-update-empty'), [{ type: 'resumption', handle: null }]);
  assert.deepEqual(facts('go-away-fractional'), [{ type: 'goAway', timeLeftSeconds: 49.5 }]);
  assert.deepEqual(facts('voice-activity-end'), [{ type: 'voiceActivity', active: false }]);
  assert.deepEqual(facts('tool-call-cancellation'), [{ type: 'toolCallCancellation', ids: ['call_1'] }]);
});

test('reports unknown keys at every level and reads the rest', () => {
  const facts = readServerMessage({
    novelty: {},
    serverContent: {
      surprise: 1,
      modelTurn: { parts: [{ text: 'x', thought: true }, { odd: 1 }] },
      turnComplete: true,
    },
  });
  assert.deepEqual(facts, [
    { type: 'unknown', key: 'novelty' },
    { type: 'unknown', key: 'serverContent.surprise' },
    { type: 'modelText', text: 'x', thought: true },
    { type: 'unknown', key: 'part.odd' },
    { type: 'turnComplete' },
  ]);
  assert.deepEqual(readServerMessage({ serverContent: null, goAway: null }), []);
});

test('treats a key with the name of an Object member as unknown and does not call it', () => {
  const facts = readServerMessage(JSON.parse('{"constructor":{},"toString":1,"serverContent":{"valueOf":{}}}'));
  assert.deepEqual(
    facts.map(({ key }) => key),
    ['constructor', 'toString', 'serverContent.valueOf'],
  );
});

test('returns an interruption before the audio in the same frame', () => {
  const frame = { serverContent: { modelTurn: { parts: [{ inlineData: PCM }] }, interrupted: true } };
  assert.deepEqual(
    readServerMessage(frame).map(({ type }) => type),
    ['interrupted', 'audio'],
  );
});

test('withoutAudio keeps the rest of a message and does not change the original', () => {
  const { frame } = frames.find((entry) => entry.case === 'several-keys-in-one-frame');
  const lean = withoutAudio(frame);
  assert.deepEqual(lean.serverContent.modelTurn.parts, [{ inlineData: { mimeType: 'audio/pcm;rate=24000' } }]);
  assert.deepEqual(lean.serverContent.outputTranscription, frame.serverContent.outputTranscription);
  assert.deepEqual(lean.usageMetadata, frame.usageMetadata);
  assert.equal(frame.serverContent.modelTurn.parts[0].inlineData.data, 'AAECAw==');
});
