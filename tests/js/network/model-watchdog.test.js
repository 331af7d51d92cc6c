import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ModelWatchdog } from '../../../web/live/network/model-watchdog.js';

const SETUP = { model: 'models/gemini-3.8-live', inputAudioTranscription: {} };
const TEXT = { kind: 'text', sure: true, message: { realtimeInput: { text: 'Hello' } } };
const audio = (ms = 20) => ({ type: 'audio', data: 'A'.repeat(64 * ms), mimeType: 'audio/pcm;rate=24000' });
const over = { type: 'turnComplete' };
const said = { type: 'inputText', text: 'Hello', finished: true };
const interrupted = { type: 'interrupted' };

/** A watchdog on a clock in milliseconds. `loudAt` is when the microphone was last loud. */
function watching(setup = SETUP) {
  const dog = new ModelWatchdog();
  dog.granted(setup);
  const watch = {
    dog,
    now: 100_000,
    loudAt: 0,
    pass: (ms) => (watch.now += ms),
    ask: (question = { ...TEXT, message: { ...TEXT.message } }) => dog.asked(question, watch.now),
    see: (...facts) => facts.map((fact) => dog.observe(fact, watch.now, watch.loudAt)).at(-1),
    get overdue() {
      return dog.overdue(watch.now, watch.loudAt);
    },
    /** A user who has spoken until now. */
    speak(...facts) {
      watch.loudAt = watch.now;
      watch.see(...facts);
    },
    /** A turn whose answer takes so long. */
    turn(latencyMs) {
      watch.ask();
      watch.pass(latencyMs);
      watch.see(audio(), over);
      watch.pass(1000);
    },
    /** When it is overdue, in steps of 250 ms; null: never. */
    overdueAfter(limit = 120_000) {
      for (let waited = 0; waited <= limit; waited += 250, watch.pass(250)) if (watch.overdue) return waited;
      return null;
    },
  };
  return watch;
}

test('a text without content is overdue after six seconds; a nudge starts the wait again', () => {
  const watch = watching();
  watch.ask();
  assert.equal(watch.overdueAfter(), 6000);
  assert.equal(watch.dog.step(watch.now), 0);
  assert.equal(watch.overdueAfter(), 6000);
  assert.equal(watch.dog.step(watch.now), 1);
  watch.see(audio());
  assert.equal(watch.overdueAfter(), null);
  watch.ask();
  assert.equal(watch.dog.step(watch.now), 0, 'an answer starts again with the first step');
});

test('updates of the handle, token counts and transcripts are no answer', () => {
  const watch = watching();
  watch.ask();
  for (let second = 0; second < 6; second++) {
    watch.see(
      { type: 'resumption', handle: 'h' },
      { type: 'usage', usage: {} },
      { type: 'goAway', timeLeftSeconds: 50 },
    );
    watch.pass(1000);
  }
  assert.ok(watch.overdue);
});

for (const [name, setup, ms] of [
  ['extended thinking', { model: 'models/gemini-3.8-live-extended-thinking' }, 20_000],
  ['a high thinking level', { ...SETUP, generationConfig: { thinkingConfig: { thinkingLevel: 'HIGH' } } }, 12_000],
  ['a search', { ...SETUP, tools: [{ googleSearch: {} }] }, 12_000],
  ['functions of the app', { ...SETUP, tools: [{ functionDeclarations: [] }] }, 6000],
  ['an unknown model', undefined, 6000],
  ['a transcriber', { model: 'models/gemini-3.5-transcribe-live' }, null],
]) {
  test(`the bound for ${name} is ${ms ?? 'none'}`, () => {
    const watch = watching(setup);
    watch.ask();
    assert.equal(watch.overdueAfter(), ms);
  });
}

test('the bound follows the answers of the conversation, within a third and three times of the model’s own', () => {
  for (const [latencies, bound] of [
    [[100, 100], 6000],
    [[100, 100, 100], 2000],
    [[1000, 1000, 900], 4000],
    [[3000, 2500, 3000], 12_000],
    [[9000, 9000, 9000], 18_000],
    [[6100, 1000, 1000, 1000], 4000], // one stall is no habit
    [[9000, 9000, 100, 100, 100, 100, 100, 100, 100, 100], 2000], // only the newest count
  ]) {
    const watch = watching();
    for (const latency of latencies) watch.turn(latency);
    assert.equal(watch.dog.boundMs, bound, `${latencies}`);
  }
});

test('answers that come after a step make the bound grow slowly', () => {
  const watch = watching();
  for (let turn = 0; turn < 3; turn++) watch.turn(1000);
  for (const bound of [4000, 6000, 6000, 9000]) {
    watch.ask();
    watch.pass(20_000);
    watch.dog.step(watch.now);
    watch.see(audio(), over);
    assert.equal(watch.dog.boundMs, bound);
  }
});

test('thoughts and sources extend the wait', () => {
  for (const fact of [
    { type: 'modelText', text: 'Hm.', thought: true },
    { type: 'grounding', links: [], queries: [] },
  ]) {
    const watch = watching();
    watch.ask();
    watch.pass(5000);
    watch.see(fact);
    assert.equal(watch.overdueAfter(), 6000, fact.type);
  }
});

test('a function that runs, and a service that works, owe nothing', () => {
  const watch = watching();
  watch.ask();
  watch.see({
    type: 'toolCall',
    calls: [
      { id: 'c1', name: 'f' },
      { id: 'c2', name: 'f' },
    ],
  });
  assert.equal(watch.overdueAfter(), null);
  watch.dog.responded([{ id: 'c1' }], watch.now);
  assert.equal(watch.overdueAfter(), null, 'the other one still runs');
  watch.dog.responded([{ id: 'c2', willContinue: true }], watch.now);
  assert.equal(watch.overdueAfter(), null);
  watch.dog.responded([{ id: 'c2' }], watch.now);
  assert.equal(watch.overdueAfter(), 6000);

  const working = watching();
  working.ask();
  working.see({ type: 'interactionStatus', status: 'IN_PROGRESS' }, over);
  assert.equal(working.overdueAfter(), null);
  working.see({ type: 'interactionStatus', status: 'IDLE' });
  assert.equal(working.overdueAfter(), 6000);
});

test('a silent result asks for nothing; a cancelled function runs no longer', () => {
  const watch = watching();
  watch.see({ type: 'toolCall', calls: [{ id: 'c1', name: 'f' }] });
  watch.dog.responded([{ id: 'c1', scheduling: 'SILENT' }], watch.now);
  assert.equal(watch.overdueAfter(), null);
  watch.see({ type: 'toolCall', calls: [{ id: 'c2', name: 'f' }] }, { type: 'toolCallCancellation', ids: ['c2'] });
  watch.ask();
  assert.equal(watch.overdueAfter(), 6000);
});

test('speech that the service acknowledges is owed an answer; noise is not', () => {
  const spoken = watching();
  spoken.speak(said);
  assert.equal(spoken.overdueAfter(), 6000);
  assert.equal(spoken.dog.question.sure, true);

  const noise = watching();
  noise.speak({ type: 'voiceActivity', active: true }, { type: 'voiceActivity', active: false });
  assert.equal(noise.overdueAfter(), 6000);
  assert.equal(noise.dog.question.sure, false, 'the setup has words for speech, and there are none');

  const wordless = watching({ model: SETUP.model });
  wordless.speak({ type: 'voiceActivity', active: false });
  wordless.overdueAfter();
  assert.equal(wordless.dog.question.sure, true);
});

test('noise is given up after its only step, until there is another', () => {
  const watch = watching();
  watch.speak();
  assert.equal(watch.overdueAfter(), 6000);
  watch.dog.forget(watch.now);
  assert.equal(watch.overdueAfter(), null);
  watch.speak();
  assert.equal(watch.overdueAfter(), 6000);
});

test('nobody is overdue while the user speaks, but noise delays the answer to a text no longer than three bounds', () => {
  const watch = watching();
  watch.speak(said);
  for (let ms = 0; ms < 60_000; ms += 250) {
    assert.equal(watch.overdue, false);
    watch.pass(250);
    watch.loudAt = watch.now;
  }
  const noisy = watching();
  noisy.ask();
  let waited = 0;
  for (; !noisy.overdue; waited += 250) {
    noisy.pass(250);
    noisy.loudAt = noisy.now;
  }
  assert.equal(waited, 18_000);
});

test('a transcript that comes after the answer asks for nothing', () => {
  const watch = watching();
  watch.speak();
  watch.pass(800);
  watch.see(audio(), said, over, said);
  assert.equal(watch.overdueAfter(), null);
});

test('the end of an answer that a new question interrupted is no empty turn', () => {
  for (const ends of [[interrupted, over], [interrupted, over, audio(), over], [over]]) {
    const watch = watching();
    watch.ask();
    watch.see(audio());
    watch.ask();
    assert.equal(watch.see(...ends), false);
    assert.equal(watch.dog.question === null, ends.length === 4);
  }
});

test('an answer that goes on is not the answer to the next question, which waits until it has been heard', () => {
  const watch = watching();
  watch.ask();
  watch.see(audio(10_000));
  watch.ask();
  watch.see(audio(10_000));
  assert.equal(watch.overdueAfter(), 26_000);
});

test('a turn without content is empty, unless it had a thought, runs a function or goes on', () => {
  const empty = (...facts) => {
    const watch = watching();
    watch.ask();
    return watch.see(...facts);
  };
  assert.equal(empty(over), true);
  assert.equal(empty({ type: 'modelText', text: 'Hm.', thought: true }, over), false);
  assert.equal(empty({ type: 'modelText', text: 'Yes.', thought: false }, over), false);
  assert.equal(empty({ type: 'outputText', text: 'Yes.' }, over), false);
  assert.equal(empty({ type: 'toolCall', calls: [{ id: 'c', name: 'f' }] }, over), false);
  assert.equal(empty({ type: 'interactionStatus', status: 'IN_PROGRESS' }, over), false);
  assert.equal(empty({ type: 'waitingForInput' }, over), false);
  assert.equal(watching().see(over), false, 'nobody asked');
});

test('the same message again is the same question', () => {
  const watch = watching();
  const question = { ...TEXT };
  watch.ask(question);
  watch.pass(6000);
  watch.ask({ ...question });
  assert.equal(watch.dog.waitedMs(watch.now, watch.loudAt), 6000);
});
