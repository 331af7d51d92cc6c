import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Conversation } from '../../../web/live/conversation/conversation.js';
import { earlier, newest } from '../../../web/live/conversation/history.js';
import { Transcript } from '../../../web/live/conversation/transcript.js';
import { brokerReport } from '../../../web/live/shared/broker-report.js';
import { Diagnostics } from '../../../web/live/shared/diagnostics.js';
import { readServerMessage, withoutLocalIds } from '../../../web/live/shared/protocol.js';
import '../../../web/live/conversation/tool-runner.js'; // a conversation with functions has loaded this module by its start
import '../../../web/live/shared/heard.js';
import { settle } from '../support.js';

/** A conversation with its events and messages. */
function talk({ tools = {}, audible = true, lag = 0, model = 'models/gemini-3.8-live', setup = {}, ...options } = {}) {
  const events = [];
  const holds = [];
  const transcript = new Transcript((sentence) => events.push({ type: 'sentence', detail: sentence }));
  const sent = [];
  const states = [];
  const conversation = new Conversation(
    {
      emit: (type, detail) => events.push({ type, detail }),
      send: (message) => sent.push(message),
      changed: () => states.at(-1) === conversation.state || states.push(conversation.state),
      speaker: { running: audible, latencySeconds: lag / 24000 },
      hold: (held) => holds.push(held),
      transcript,
      diagnostics: new Diagnostics(),
    },
    { tools, ...options },
    's1',
  );
  conversation.useModel(model, setup);
  const receive = (message, place = { turn: 1, position: 0 }) =>
    conversation.receive(message, readServerMessage(message), place);
  const content = (serverContent, turn = 1, position = 0) => receive({ serverContent }, { turn, position });
  return {
    conversation,
    content,
    sent,
    states,
    holds,
    transcript,
    receive,
    call: (...functionCalls) => receive({ toolCall: { functionCalls } }),
    responses: () => sent.map((message) => message.toolResponse.functionResponses),
    events,
    of: (type) => events.filter((event) => event.type === type).map(({ detail }) => detail),
    /** The latest version of each caption. */
    captions() {
      const last = new Map(this.of('caption').map((caption) => [caption.id, caption]));
      return [...last.values()].map(({ role, text, final, interrupted }) => ({ role, text, final, interrupted }));
    },
    played: (type, turn, more = {}) => conversation.onPlayback({ type, turn, ...more }),
  };
}

const AUDIO = { modelTurn: { parts: [{ inlineData: { mimeType: 'audio/pcm;rate=24000' } }] } };

test('a spoken turn goes from listening to thinking, speaking and listening', () => {
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

test('shows the model’s words when the audio before them has been heard', () => {
  const t = talk();
  const shown = () => t.captions().at(-1).text;
  t.content({ outputTranscription: { text: 'one ' } }, 1, 0);
  t.content({ outputTranscription: { text: 'two ' } }, 1, 2400);
  t.content({ outputTranscription: { text: 'three' } }, 1, 4800);
  assert.deepEqual(t.captions(), []);
  t.played('meter', 1, { played: 1200, rms: 0 });
  assert.equal(shown(), 'one ');
  t.played('meter', 1, { played: 2399, rms: 0 });
  assert.equal(shown(), 'one ');
  t.played('meter', 1, { played: 2400, rms: 0 });
  assert.equal(shown(), 'one two ');
  t.played('drained', 1);
  assert.equal(shown(), 'one two three');
});

test('an interruption ends the caption where the audio ended', () => {
  const t = talk();
  t.content({ ...AUDIO, outputTranscription: { text: 'one ' } });
  t.played('started', 1);
  t.content({ outputTranscription: { text: 'two' } }, 1, 24000);
  t.content({ interrupted: true }, 1, 48000);
  assert.equal(t.conversation.state, 'listening');
  t.content({ turnComplete: true }, 1, 48000);
  t.played('silent', 1, { played: 23999, receivedAt: 0 });
  t.played('meter', 1, { played: 24000, rms: 0 });
  assert.deepEqual(t.captions(), [{ role: 'model', text: 'one ', final: true, interrupted: true }]);
  assert.equal(t.transcript.turns[0].heardSamples, 23999);
});

test('an interruption includes words heard since the last playback report', () => {
  const t = talk();
  t.content({ ...AUDIO, outputTranscription: { text: 'one ' } });
  t.content({ outputTranscription: { text: 'two ' } }, 1, 1200);
  t.content({ outputTranscription: { text: 'three' } }, 1, 2400);
  t.content({ interrupted: true }, 1, 48000);
  t.played('silent', 1, { played: 1300, receivedAt: 0 });
  assert.deepEqual(t.captions(), [{ role: 'model', text: 'one two ', final: true, interrupted: true }]);
});

test('words wait for the delay from the worklet to the ear', () => {
  const t = talk({ lag: 4800 });
  t.content({ ...AUDIO, outputTranscription: { text: 'late' } });
  t.played('meter', 1, { played: 4799, rms: 0 });
  assert.deepEqual(t.captions(), []);
  t.played('meter', 1, { played: 4800, rms: 0 });
  assert.equal(t.captions()[0].text, 'late');
});

test('a turn that was heard completely does not count as interrupted', () => {
  const t = talk();
  t.content({ ...AUDIO, outputTranscription: { text: 'all' } });
  t.played('started', 1);
  t.content({ generationComplete: true }, 1, 960);
  t.played('drained', 1);
  t.content({ interrupted: true }, 1, 960);
  t.played('silent', 1, { played: 960, receivedAt: 0 });
  assert.deepEqual(t.captions(), [{ role: 'model', text: 'all', final: true, interrupted: false }]);
  assert.equal(t.transcript.turns[0].heardSamples, 960);
});

test('nothing of a stopped turn is captioned, and the next one is whole', () => {
  const t = talk();
  t.content({ ...AUDIO, outputTranscription: { text: 'one ' } });
  t.played('started', 1);
  t.content({ outputTranscription: { text: 'two ' } }, 1, 24000);
  t.conversation.stopped(1);
  assert.equal(t.conversation.state, 'listening');
  t.content({ ...AUDIO, outputTranscription: { text: 'three ' } }, 1, 48000);
  t.played('silent', 1, { played: 12000, receivedAt: 0 });
  t.content({ outputTranscription: { text: 'four ' }, groundingMetadata: { webSearchQueries: ['x'] } }, 1, 72000);
  t.content({ modelTurn: { parts: [{ text: 'What now?', thought: true }] } }, 1, 72000);
  t.content({ interrupted: true }, 1, 72000);
  t.content({ outputTranscription: { text: 'five' } }, 1, 72000);
  t.content({ turnComplete: true }, 1, 72000);
  assert.deepEqual(t.captions(), [{ role: 'model', text: 'one ', final: true, interrupted: true }]);
  assert.equal(t.transcript.turns[0].heardSamples, 12000);
  assert.deepEqual([t.of('thought'), t.of('grounding')], [[], []]);
  assert.equal(t.conversation.state, 'listening');

  t.content({ ...AUDIO, outputTranscription: { text: 'Yes?' } }, 2);
  t.played('started', 2);
  assert.equal(t.conversation.state, 'speaking');
  t.content({ generationComplete: true, turnComplete: true }, 2, 4800);
  t.played('drained', 2);
  assert.deepEqual(t.captions()[1], { role: 'model', text: 'Yes?', final: true, interrupted: false });
});

test('functions of a stopped turn go on', async () => {
  let finish = () => {};
  const t = talk({
    tools: {
      look: () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    },
  });
  await t.conversation.prepare();
  t.content({ ...AUDIO });
  t.call({ id: 'a', name: 'look' });
  t.conversation.stopped(1);
  await settle();
  finish({ found: true });
  await settle();
  assert.deepEqual(t.responses()[0][0].response, { found: true });
});

test('audio of a cut turn no longer counts as speaking', () => {
  const t = talk();
  t.content(AUDIO, 4);
  t.content({ interrupted: true }, 4, 960);
  t.played('started', 4); // the report was already on its way from the worklet
  assert.equal(t.conversation.state, 'listening');
  t.played('started', 5);
  assert.equal(t.conversation.state, 'speaking');
});

test('adds a late transcript to its turn and replaces interim text', () => {
  const t = talk();
  t.content({ interimInputTranscription: { text: 'what is' } });
  t.content({ inputTranscription: { text: 'What ' } });
  t.content({ interimInputTranscription: { text: 'is the' } });
  assert.equal(t.captions()[0].text, 'What is the');
  t.content({ outputTranscription: { text: 'Sunny.' } });
  t.content({ inputTranscription: { text: 'is the weather?' } });
  assert.equal(t.captions()[0].text, 'What is the weather?');
});

test('words of a turn that is over wait for no answer', () => {
  const t = talk();
  t.content({ outputTranscription: { text: 'Sunny.' } });
  t.content({ turnComplete: true });
  t.content({ inputTranscription: { text: 'What is the weather?' } });
  assert.equal(t.conversation.state, 'listening');
  assert.deepEqual(
    t.captions().map(({ role, text, final }) => [role, text, final]),
    [
      ['model', 'Sunny.', true],
      ['user', 'What is the weather?', false],
    ],
  );
});

test('shows words on arrival when playback is not running', () => {
  const t = talk({ audible: false });
  t.content({ outputTranscription: { text: 'all of it' } }, 1, 99999);
  t.content({ turnComplete: true }, 1, 99999);
  assert.deepEqual(t.captions(), [{ role: 'model', text: 'all of it', final: true, interrupted: false }]);
});

test('a turn without audio ends its captions', () => {
  const t = talk();
  t.content({ outputTranscription: { text: 'silent' } });
  t.content({ turnComplete: true });
  assert.equal(t.captions()[0].final, true);
});

test('is thinking from a typed text until the answer', () => {
  const t = talk();
  t.conversation.addTypedText('hello');
  assert.equal(t.conversation.state, 'thinking');
  t.content({ turnComplete: true });
  assert.equal(t.conversation.state, 'listening');
});

test('stays thinking after a complete turn while the service is still working', () => {
  const t = talk();
  t.content({ turnComplete: true, interactionStatus: 'IN_PROGRESS' });
  assert.equal(t.conversation.state, 'thinking');
  t.receive({ interactionStatus: 'IDLE' }, { turn: 1, position: 0 });
  assert.equal(t.conversation.state, 'listening');
});

test('typed text is a turn of its own, shown at once and before its answer', () => {
  const t = talk();
  t.content({ ...AUDIO, outputTranscription: { text: 'Hm.' } }, 1, 960);
  t.content({ turnComplete: true }, 1, 960);
  t.played('drained', 1);
  t.conversation.addTypedText('hello');
  t.content({ ...AUDIO, outputTranscription: { text: 'Hi.' } }, 2);
  t.played('meter', 2, { played: 0, rms: 0 });
  assert.deepEqual(
    t.transcript.turns.map(({ turn, text, typed }) => [turn, text, typed]),
    [
      [1, 'Hm.', undefined],
      [2, 'hello', true],
      [2, 'Hi.', undefined],
    ],
  );
});

test('the history for a new session leaves out typed texts that were not sent', () => {
  const t = talk();
  assert.deepEqual(
    ['one', 'two', 'three'].map((text) => t.conversation.addTypedText(text)),
    [1, 2, 3],
  );
  const texts = (contents) => contents.map(({ parts: [{ text }] }) => text);
  assert.deepEqual(texts(newest(t.transcript.turns, 's1', 2)), ['one', 'two']);
  assert.deepEqual(texts(earlier([{ role: 'user', text: 'before' }])), ['before']);
  assert.deepEqual(earlier(), []);
});

test('counts played seconds and billed tokens', async () => {
  const diagnostics = new Diagnostics();
  const device = { latencySeconds: 0, deviceUnderruns: null, context: { sampleRate: 24000 } };
  for (const [turn, played] of [
    [1, 12000],
    [1, 24000],
    [1, 24000],
    [2, 0],
    [2, 48000],
  ]) {
    diagnostics.played({ type: 'meter', rms: 0, turn, played }, device);
  }
  const usage = (input) => ({ promptTokenCount: input, responseTokenCount: 20, totalTokenCount: 130 });
  await Promise.all([1, 2].map((turn) => diagnostics.used({ usage: usage(99 + turn), turn, seconds: 1 })));
  const report = brokerReport(diagnostics.snapshot());
  const { played_seconds, input_tokens, output_tokens, total_tokens, output_rate } = report;
  assert.deepEqual([played_seconds, input_tokens, output_tokens, total_tokens, output_rate], [3, 201, 40, 260, 24000]);
});

test('the report leaves out a figure that cannot be, and only that', () => {
  const diagnostics = new Diagnostics(1000);
  diagnostics.mark('granted', 1100);
  diagnostics.mark('opened', 900); // a clock that was set back
  diagnostics.mark('sound', 1000 + 2 * 3_600_000); // the device slept
  diagnostics.microphone({ sampleRate: Number.NaN }, 1200);
  diagnostics.sent({ state: 'ok', droppedMs: 1e12 });
  const report = brokerReport(diagnostics.snapshot());
  assert.equal(report.token_ms, 100);
  for (const name of ['socket_ms', 'first_audio_ms', 'input_rate', 'dropped_chunks'])
    assert.equal(name in report, false);
  assert.equal(report.underruns, 0);
});

test('runs and answers every call without an id, also those in modelTurn', async () => {
  const ran = [];
  const t = talk({ tools: { add: ({ n }) => ran.push(n) && n } });
  const call = (n) => ({ name: 'add', args: { n } });
  t.receive({ toolCall: { functionCalls: [call(1), call(2)] } });
  t.receive({ toolCall: { functionCalls: [call(3), { ...call(4), id: '' }, { ...call(5), id: null }] } });
  t.content({ modelTurn: { parts: [{ functionCall: call(6) }, { functionCall: { ...call(7), id: 'own' } }] } });
  await settle();
  assert.deepEqual(ran, [1, 2, 3, 4, 5, 6, 7]);
  const answers = withoutLocalIds(t.responses().flat());
  assert.deepEqual(
    answers.map(({ id, response }) => [id, response.result]),
    [...[1, 2, 3, 4, 5, 6].map((n) => [undefined, n]), ['own', 7]],
  );
  assert.equal(new Set(t.of('toolcall').map(({ id }) => id)).size, 7);
});

test('keeps the language that the service reports', () => {
  const t = talk();
  t.content({ inputTranscription: { text: 'Guten Tag', languageCode: 'de-DE' } });
  t.content({ outputTranscription: { text: 'Bonjour', languageCode: 'fr-FR' } });
  t.content({ turnComplete: true });
  assert.deepEqual(
    t.transcript.turns.map(({ language }) => language),
    ['de-DE', 'fr-FR'],
  );
});

test('thoughts are events and never captions', () => {
  const t = talk();
  t.content({ modelTurn: { parts: [{ text: 'I wonder.', thought: true }] } });
  assert.equal(t.conversation.state, 'thinking');
  assert.deepEqual(t.of('thought'), [{ turn: 1, text: 'I wonder.' }]);
  assert.deepEqual(t.captions(), []);
});

test('sources have only plain titles and https addresses', async () => {
  const t = talk();
  const web = (uri, title) => ({ web: { uri, title } });
  t.content({
    groundingMetadata: {
      groundingChunks: [
        web('https://example.org/a', '<b>A</b>'),
        web('http://example.org/'),
        web('javascript:alert(1)'),
        web('https://'),
        { web: {} },
        { retrievedContext: { uri: 'HTTPS://example.net' } },
        web('https://google.com:secret@evil.example/'),
        web('https://user@evil.example/'),
        web(`https://example.org/${'a'.repeat(5000)}`),
        web('https://example.com/', `\u202egpj.exe\u2066\u0000 ${'long '.repeat(500)}`),
      ],
      webSearchQueries: ['a'],
    },
  });
  const links = [
    { title: '<b>A</b>', url: 'https://example.org/a' },
    { title: 'example.net', url: 'https://example.net/' },
  ];
  await settle();
  const [{ turn, links: shown, queries }] = t.of('grounding');
  const odd = shown.pop();
  assert.deepEqual([turn, shown, queries], [1, links, ['a']]);
  assert.match(odd.title, /^gpj\.exe (long )+lo?n?g?$/);
  assert.ok(odd.title.length <= 200);
});

test('is listening while the service waits for more input', () => {
  const t = talk();
  t.content({ inputTranscription: { text: 'My number is' }, interactionStatus: 'IN_PROGRESS' });
  assert.equal(t.conversation.state, 'thinking');
  t.content({ waitingForInput: true });
  assert.equal(t.conversation.state, 'listening');
});

const BLOCKING = { model: 'models/gemini-2.5-flash-native-audio-preview-09-2025' };

test('runs blocking functions in parallel and answers them together', async () => {
  const t = talk({ ...BLOCKING, tools: { add: async ({ a, b }) => a + b, when: () => ({ time: 'noon' }) } });
  await t.conversation.prepare();
  t.call({ id: '1', name: 'add', args: { a: 1, b: 2 } }, { id: '2', name: 'when' }, { id: '3', name: 'toString' });
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
  assert.deepEqual(
    t.of('toolcall').map(({ name, blocking }) => [name, blocking]),
    [
      ['add', true],
      ['when', true],
      ['toString', true],
    ],
  );
  assert.deepEqual(
    t
      .of('toolresult')
      .map(({ id, ok }) => [id, ok])
      .sort(),
    [
      ['1', true],
      ['2', true],
      ['3', false],
    ],
  );
  assert.ok(t.of('toolresult').every(({ ms }) => ms >= 0));
  assert.deepEqual(
    t.of('error').map(({ error }) => error.reason),
    ['tool-failed'],
  );
  assert.equal(t.conversation.state, 'listening');
  assert.deepEqual(t.holds, [true, false]);
});

test('answers non-blocking functions one by one, with their scheduling', async () => {
  let finish;
  const tools = {
    slow: { run: () => new Promise((resolve) => (finish = resolve)), scheduling: 'SILENT' },
    quick: () => 'done',
  };
  const t = talk({ tools });
  t.call({ id: '1', name: 'slow' }, { id: '2', name: 'quick' });
  await settle();
  assert.equal(t.conversation.state, 'listening');
  assert.deepEqual(t.responses(), [[{ id: '2', name: 'quick', response: { result: 'done' } }]]);
  finish([1]);
  await settle();
  assert.deepEqual(t.responses()[1], [{ id: '1', name: 'slow', response: { result: [1] }, scheduling: 'SILENT' }]);
  assert.deepEqual(t.holds, []);
});

test('a function’s behavior in the setup overrides the model’s default, if the model supports it', async () => {
  const tools = [{ googleSearch: {} }, { functionDeclarations: [{ name: 'a', behavior: 'BLOCKING' }, { name: 'b' }] }];
  const blocking = async (model) => {
    const t = talk({ model, setup: { tools }, tools: { a: () => 1, b: () => 2 } });
    t.call({ id: '1', name: 'a' }, { id: '2', name: 'b' });
    await settle();
    return t.of('toolcall').map((call) => call.blocking);
  };
  assert.deepEqual(await blocking('models/gemini-3.8-live'), [true, false]);
  assert.deepEqual(await blocking('models/gemini-3.8-live-extended-thinking'), [false, false]);
});

test('sends each result of a generator to a model that does not wait, and only the last one to other models', async () => {
  const search = async function* () {
    yield 'one';
    yield 'two';
  };
  const call = { id: '1', name: 'search' };
  const later = talk({ tools: { search } });
  later.call(call);
  await settle();
  assert.deepEqual(later.responses().flat(), [
    { ...call, response: { result: 'one' }, willContinue: true },
    { ...call, response: { result: 'two' }, willContinue: true },
    { ...call, response: {}, scheduling: 'SILENT' },
  ]);
  const waiting = talk({ ...BLOCKING, tools: { search } });
  waiting.call(call);
  await settle();
  assert.deepEqual(waiting.responses().flat(), [{ ...call, response: { result: 'two' } }]);
});

test('aborts a cancelled function and does not send its answer', async () => {
  const signals = [];
  const tools = { slow: (_args, { signal }) => new Promise(() => signals.push(signal)), quick: () => 'done' };
  const t = talk({ ...BLOCKING, tools });
  t.call({ id: '1', name: 'slow' }, { id: '2', name: 'quick' });
  await settle();
  assert.deepEqual(t.sent, []);
  t.receive({ toolCallCancellation: { ids: ['1', 'unheard-of'] } }, { turn: 1, position: 0 });
  await settle();
  assert.equal(signals[0].aborted, true);
  assert.deepEqual(
    t.responses()[0].map(({ id }) => id),
    ['2'],
  );
  assert.deepEqual(
    t.of('toolcancel').map(({ id, name, reason }) => [id, name, reason]),
    [['1', 'slow', 'service']],
  );
  assert.equal(t.conversation.state, 'listening');
  assert.deepEqual(t.holds, [true, false]);
});

test('does not answer a call that was cancelled after it finished, while another one ran', async () => {
  let finish;
  const t = talk({
    ...BLOCKING,
    tools: { slow: () => new Promise((resolve) => (finish = resolve)), quick: () => 'done' },
  });
  t.call({ id: '1', name: 'slow' }, { id: '2', name: 'quick' });
  await settle();
  t.receive({ toolCallCancellation: { ids: ['2'] } }, { turn: 1, position: 0 });
  finish('late');
  await settle();
  assert.deepEqual(
    t.responses()[0].map(({ id }) => id),
    ['1'],
  );
});

test('does not start a call that was cancelled before the tool runner was loaded', async () => {
  let runs = 0;
  const t = talk({ tools: { count: () => ++runs } });
  t.call({ id: '1', name: 'count' });
  t.receive({ toolCallCancellation: { ids: ['1'] } }, { turn: 1, position: 0 });
  await settle();
  assert.equal(runs, 0);
  assert.deepEqual(
    t.of('toolcancel').map(({ id }) => id),
    ['1'],
  );
});

test('runs a repeated call once', async () => {
  let runs = 0;
  const t = talk({ tools: { count: () => ++runs } });
  t.call({ id: '1', name: 'count' }, { id: '1', name: 'count' });
  await settle();
  t.call({ id: '1', name: 'count' });
  await settle();
  assert.equal(runs, 1);
  assert.equal(t.sent.length, 1);
});

test('answers with an error and aborts a function after its time limit', async () => {
  const signals = [];
  const tools = { slow: (_args, { signal }) => new Promise(() => signals.push(signal)) };
  const t = talk({ tools, toolTimeoutMs: 5 });
  t.call({ id: '1', name: 'slow' });
  await settle();
  assert.match(t.responses()[0][0].response.error, /longer than 5 ms/);
  assert.equal(signals[0].aborted, true);
  assert.deepEqual(
    t.of('toolresult').map(({ ok }) => ok),
    [false],
  );
});

test('stop cancels every function and sends nothing', async () => {
  const t = talk({ tools: { slow: () => new Promise(() => {}) } });
  t.call({ id: '1', name: 'slow' });
  t.conversation.stop();
  await settle();
  assert.deepEqual(t.sent, []);
  assert.deepEqual(
    t.of('toolcancel').map(({ reason }) => reason),
    ['ended'],
  );
});

test('sends no answers to calls that the next connection does not know, which may reuse their ids', async () => {
  let finish;
  const t = talk({ ...BLOCKING, tools: { slow: () => new Promise((resolve) => (finish = resolve)) } });
  t.call({ id: '1', name: 'slow' });
  await settle();
  t.conversation.disconnected({ turn: 1, position: 0 }, ['1']);
  t.conversation.dropCalls();
  finish('too late');
  await settle();
  assert.deepEqual(t.sent, []);
  assert.deepEqual(
    t.of('toolcancel').map(({ reason }) => reason),
    ['connection'],
  );
  assert.deepEqual(t.holds, [true, false]);
  t.call({ id: '1', name: 'slow' });
  await settle();
  finish('in time');
  await settle();
  assert.deepEqual(t.responses(), [[{ id: '1', name: 'slow', response: { result: 'in time' } }]]);
});

test('a call that the next connection knows continues across the break', async () => {
  let finish;
  const t = talk({ ...BLOCKING, tools: { slow: () => new Promise((resolve) => (finish = resolve)) } });
  t.call({ id: '1', name: 'slow' });
  await settle();
  t.conversation.disconnected({ turn: 1, position: 0 }, []);
  finish('in time');
  await settle();
  assert.deepEqual(t.responses(), [[{ id: '1', name: 'slow', response: { result: 'in time' } }]]);
});

test('an answer that JSON cannot express is a failure of the function; other answers are sent as JSON', async () => {
  const t = talk({
    ...BLOCKING,
    tools: { big: () => 10n, none: () => undefined, date: () => new Date(0), map: () => new Map() },
  });
  t.call(...['big', 'none', 'date', 'map'].map((name) => ({ id: name, name })));
  await settle();
  const [big, ...others] = t.responses()[0].map(({ response }) => response);
  assert.match(big.error, /BigInt/);
  assert.deepEqual(others, [{ result: null }, { result: '1970-01-01T00:00:00.000Z' }, {}]);
});

test('reports an unknown key once', () => {
  const t = talk();
  for (let i = 0; i < 3; i++) t.receive({ novelty: i }, { turn: 1, position: 0 });
  assert.deepEqual(
    t.of('diagnostics').map(({ unknownKeys }) => unknownKeys),
    [['novelty']],
  );
  assert.equal(t.of('message').length, 3);
});

test('a dictation is a caption for each segment, and awaits no answer', async () => {
  const t = talk({
    model: 'models/gemini-3.5-transcribe-live',
    setup: { generationConfig: { responseModalities: ['TEXT'] } },
    audible: false,
  });
  await settle(); // heard.js loads with the token
  t.receive({ voiceActivity: { type: 'ACTIVITY_END' } });
  t.content({ interimInputTranscription: { text: 'Good' } });
  t.content({ interimInputTranscription: { text: 'Good day' } });
  t.content({ inputTranscription: { text: 'Good day.', startOffset: '1s', endOffset: '2s' } });
  t.content({ interimInputTranscription: { text: 'How' } });
  t.content({ inputTranscription: { text: 'How are you?' } });
  t.conversation.addTypedText('typed');
  assert.deepEqual(t.states, ['listening']);
  assert.deepEqual(
    t.of('caption').map(({ id, text, final }) => `${id} ${text}${final ? '' : '…'}`),
    [
      's1-1-user Good…',
      's1-1-user Good day…',
      's1-1-user Good day.',
      's1-1-user-2 How…',
      's1-1-user-2 How are you?',
      's1-typed-1 typed',
    ],
  );
  assert.equal(t.transcript.turns[0].startMs, 1000);
});

test('another speaker begins another caption; the words of one are joined with their times', async () => {
  const t = talk();
  const say = (text, speakerLabel, at) =>
    t.content({
      inputTranscription: {
        text,
        speakerLabel,
        startOffset: `${at}s`,
        endOffset: `${at + 1}s`,
        words: [{ word: text.trim(), startOffset: `${at}s` }],
      },
    });
  t.content({ inputTranscription: { text: '', speakerLabel: 'spk_1' } }); // loads heard.js
  await settle();
  say('One ', 'spk_1', 1);
  say('two.', 'spk_1', 2);
  say('Three.', 'spk_2', 3);
  t.content({ inputTranscription: { text: ' Four.' } });
  const turns = t.transcript.turns;
  assert.deepEqual(
    turns.map(({ text, speaker, startMs, endMs, words }) => [text, speaker, startMs, endMs, words.length]),
    [
      ['One two.', 'spk_1', 1000, 3000, 2],
      ['Three. Four.', 'spk_2', 3000, 4000, 1],
    ],
  );
  assert.equal(turns[0].final, true);
});

test('text is the answer of a model that writes, and is no caption of one that speaks', () => {
  const parts = { modelTurn: { parts: [{ text: 'An answer.' }] } };
  const writes = talk({ setup: { generationConfig: { responseModalities: ['TEXT'] } }, audible: false });
  writes.content(parts);
  writes.content({ turnComplete: true });
  assert.deepEqual(writes.captions(), [{ role: 'model', text: 'An answer.', final: true, interrupted: false }]);
  const speaks = talk();
  speaks.content(parts);
  assert.deepEqual(speaks.captions(), []);
});
