import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Conversation } from '../../web/live/conversation.js';
import { Diagnostics } from '../../web/live/diagnostics.js';
import { settle } from './support.js';

/** A conversation and all that it told. */
function talk({ tools = {}, audible = true } = {}) {
  const events = [];
  const sent = [];
  const states = [];
  const conversation = new Conversation(
    {
      emit: (type, detail) => events.push({ type, detail }),
      send: (message) => sent.push(message),
      changed: () => states.at(-1) === conversation.state || states.push(conversation.state),
      audible: () => audible,
      diagnostics: new Diagnostics(),
    },
    tools,
    's1',
  );
  const content = (serverContent, turn = 1, position = 0) => conversation.receive({ serverContent }, { turn, position });
  return {
    conversation,
    content,
    sent,
    states,
    events,
    of: (type) => events.filter((event) => event.type === type).map(({ detail }) => detail),
    /** The last word on each caption. */
    captions() {
      const last = new Map(this.of('caption').map((caption) => [caption.id, caption]));
      return [...last.values()].map(({ role, text, final, interrupted }) => ({ role, text, final, interrupted }));
    },
    played: (type, turn, more = {}) => conversation.played({ type, turn, ...more }),
  };
}

const AUDIO = { modelTurn: { parts: [{ inlineData: { mimeType: 'audio/pcm;rate=24000' } }] } };

test('a spoken turn: listening, thinking, speaking, listening', () => {
  const t = talk();
  t.content({ inputTranscription: { text: 'How are you?' } });
  t.content({ ...AUDIO, outputTranscription: { text: 'Well. ' } });
  t.played('started', 1);
  t.content({ outputTranscription: { text: 'And you?' } }, 1, 960);
  t.content({ generationComplete: true }, 1, 1920);
  t.played('meter', 1, { played: 960, rms: 0 });
  t.played('drained', 1);
  t.content({ turnComplete: true }, 1, 1920);
  assert.deepEqual(t.states, ['thinking', 'speaking', 'listening']);
  assert.deepEqual(t.captions(), [
    { role: 'user', text: 'How are you?', final: true, interrupted: false },
    { role: 'model', text: 'Well. And you?', final: true, interrupted: false },
  ]);
});

test('the model’s words are shown when the sound before them was heard', () => {
  const t = talk();
  const shown = () => t.captions().at(-1).text;
  t.content({ outputTranscription: { text: 'one ' } }, 1, 0);
  t.content({ outputTranscription: { text: 'two ' } }, 1, 2400);
  t.content({ outputTranscription: { text: 'three' } }, 1, 4800);
  assert.equal(shown(), 'one ');
  t.played('meter', 1, { played: 2399, rms: 0 });
  assert.equal(shown(), 'one ');
  t.played('meter', 1, { played: 2400, rms: 0 });
  assert.equal(shown(), 'one two ');
  t.played('drained', 1);
  assert.equal(shown(), 'one two three');
});

test('an interruption ends the caption where the sound ended, for good', () => {
  const t = talk();
  t.content({ ...AUDIO, outputTranscription: { text: 'one ' } });
  t.played('started', 1);
  t.content({ outputTranscription: { text: 'two' } }, 1, 24000);
  t.content({ interrupted: true }, 1, 48000);
  assert.equal(t.conversation.state, 'listening');
  t.content({ turnComplete: true }, 1, 48000);
  t.played('meter', 1, { played: 24000, rms: 0 });
  assert.deepEqual(t.captions(), [{ role: 'model', text: 'one ', final: true, interrupted: true }]);
});

test('sound of a turn that was cut does not count as speaking any more', () => {
  const t = talk();
  t.content(AUDIO, 4);
  t.content({ interrupted: true }, 4, 960);
  t.played('started', 4); // was on its way from the worklet
  assert.equal(t.conversation.state, 'listening');
  t.played('started', 5);
  assert.equal(t.conversation.state, 'speaking');
});

test('a late transcript of the user joins its turn, and an interim guess is replaced', () => {
  const t = talk();
  t.content({ interimInputTranscription: { text: 'what is' } });
  t.content({ inputTranscription: { text: 'What ' } });
  t.content({ interimInputTranscription: { text: 'is the' } });
  assert.equal(t.captions()[0].text, 'What is the');
  t.content({ outputTranscription: { text: 'Sunny.' } });
  t.content({ inputTranscription: { text: 'is the weather?' } });
  assert.equal(t.captions()[0].text, 'What is the weather?');
});

test('without running playback the words come as they arrive', () => {
  const t = talk({ audible: false });
  t.content({ outputTranscription: { text: 'all of it' } }, 1, 99999);
  t.content({ turnComplete: true }, 1, 99999);
  assert.deepEqual(t.captions(), [{ role: 'model', text: 'all of it', final: true, interrupted: false }]);
});

test('a turn without sound ends its captions', () => {
  const t = talk();
  t.content({ outputTranscription: { text: 'silent' } });
  t.content({ turnComplete: true });
  assert.equal(t.captions()[0].final, true);
});

test('what was typed is thought about until it is answered', () => {
  const t = talk();
  t.conversation.asked();
  assert.equal(t.conversation.state, 'thinking');
  t.content({ turnComplete: true });
  assert.equal(t.conversation.state, 'listening');
});

test('a turn that is complete while the service works on is not idle', () => {
  const t = talk();
  t.content({ turnComplete: true, interactionStatus: 'IN_PROGRESS' });
  assert.equal(t.conversation.state, 'thinking');
  t.conversation.receive({ interactionStatus: 'IDLE' }, { turn: 1, position: 0 });
  assert.equal(t.conversation.state, 'listening');
});

test('functions are run and all of a frame’s answers are sent together', async () => {
  const t = talk({ tools: { add: async ({ a, b }) => a + b, when: () => ({ time: 'noon' }) } });
  const functionCalls = [
    { id: '1', name: 'add', args: { a: 1, b: 2 } },
    { id: '2', name: 'when' },
    { id: '3', name: 'toString' },
  ];
  t.conversation.receive({ toolCall: { functionCalls } }, { turn: 1, position: 0 });
  assert.equal(t.conversation.state, 'thinking');
  await settle();
  assert.deepEqual(t.sent, [
    {
      toolResponse: {
        functionResponses: [
          { id: '1', name: 'add', response: { result: 3 } },
          { id: '2', name: 'when', response: { time: 'noon' } },
          { id: '3', name: 'toString', response: { error: 'There is no function toString.' } },
        ],
      },
    },
  ]);
  assert.deepEqual(t.of('toolcall').map(({ name }) => name), ['add', 'when', 'toString']);
  assert.deepEqual(t.of('toolresult').map(({ id, ok }) => [id, ok]).sort(), [['1', true], ['2', true], ['3', false]]);
  assert.deepEqual(t.of('error').map(({ error }) => error.reason), ['tool-failed']);
  assert.equal(t.conversation.state, 'listening');
});

test('a cancelled function is told so, and its answer is not sent', async () => {
  const signals = [];
  const tools = { slow: (_args, { signal }) => new Promise(() => signals.push(signal)), quick: () => 'done' };
  const t = talk({ tools });
  const functionCalls = [{ id: '1', name: 'slow' }, { id: '2', name: 'quick' }];
  t.conversation.receive({ toolCall: { functionCalls } }, { turn: 1, position: 0 });
  await settle();
  assert.deepEqual(t.sent, []);
  t.conversation.receive({ toolCallCancellation: { ids: ['1', 'unheard-of'] } }, { turn: 1, position: 0 });
  await settle();
  assert.equal(signals[0].aborted, true);
  assert.deepEqual(t.sent[0].toolResponse.functionResponses.map(({ id }) => id), ['2']);
  assert.equal(t.conversation.state, 'listening');
});

test('the end aborts every function and sends nothing', async () => {
  const t = talk({ tools: { slow: () => new Promise(() => {}) } });
  t.conversation.receive({ toolCall: { functionCalls: [{ id: '1', name: 'slow' }] } }, { turn: 1, position: 0 });
  t.conversation.stop();
  await settle();
  assert.deepEqual(t.sent, []);
});

test('an answer that cannot be sent is the function’s failure', async () => {
  const t = talk({ tools: { big: () => 10n } });
  t.conversation.receive({ toolCall: { functionCalls: [{ id: '1', name: 'big' }] } }, { turn: 1, position: 0 });
  await settle();
  assert.match(t.sent[0].toolResponse.functionResponses[0].response.error, /BigInt/);
});

test('an unknown key is reported once', () => {
  const t = talk();
  for (let i = 0; i < 3; i++) t.conversation.receive({ novelty: i }, { turn: 1, position: 0 });
  assert.deepEqual(t.of('diagnostics').map(({ unknownKeys }) => unknownKeys), [['novelty']]);
  assert.equal(t.of('message').length, 3);
});
