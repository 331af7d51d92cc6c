import assert from 'node:assert/strict';
import { test } from 'node:test';

import { historyMessage, rulesFor } from '../../../web/live/shared/model-rules.js';

const TURNS = [
  { role: 'user', parts: [{ text: 'My name is Ada.' }] },
  { role: 'model', parts: [{ text: 'Hello Ada.' }] },
];
/** [model, waits for functions by default, supports scheduling, microphone held during a call, takes pictures] */
const MODELS = [
  ['models/gemini-2.5-flash-native-audio-preview-09-2025', true, true, true, true],
  ['models/gemini-2.5-flash-native-audio-latest', true, true, true, true],
  ['models/gemini-3.1-flash-live-preview', true, false, true, true],
  ['models/gemini-3.8-live', false, true, false, true],
  ['models/gemini-3.8-live-extended-thinking', false, false, false, true],
  ['models/gemini-3.5-transcribe-live', false, false, false, false],
  ['models/not-made-yet', false, true, false, true],
  [undefined, false, true, false, true],
];

for (const [model, blocking, scheduling, holdsMicrophone, video] of MODELS) {
  test(`has the rules of ${model}`, () => {
    const rules = rulesFor(model);
    assert.equal(rules.behaviors[0] === 'BLOCKING', blocking);
    assert.deepEqual([rules.scheduling, rules.holdsMicrophone, rules.video], [scheduling, holdsMicrophone, video]);
  });
}

test('marks a history as complete only if the setup expects it as initial content', () => {
  const model = 'models/gemini-3.1-flash-live-preview';
  const historyConfig = { initialHistoryInClientContent: true };
  assert.deepEqual(historyMessage(TURNS, { model, historyConfig }), { turns: TURNS, turnComplete: true });
  assert.deepEqual(historyMessage(TURNS, { model }), { turns: TURNS, turnComplete: false });
  const resumed = { model, historyConfig, sessionResumption: { handle: 'h1' } };
  assert.deepEqual(historyMessage(TURNS, resumed), { turns: TURNS, turnComplete: false });
  assert.equal(historyMessage([], { model, historyConfig }), null);
  assert.equal(historyMessage(TURNS, { model: 'models/gemini-3.5-transcribe-live' }), null);
});
