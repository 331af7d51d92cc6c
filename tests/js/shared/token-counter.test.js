import assert from 'node:assert/strict';
import { test } from 'node:test';

import { brokerReport } from '../../../web/live/shared/broker-report.js';
import { Diagnostics } from '../../../web/live/shared/diagnostics.js';
import { TokenCounter } from '../../../web/live/shared/token-counter.js';

const details = (counts) =>
  Object.entries(counts).map(([modality, tokenCount]) => ({ modality: modality.toUpperCase(), tokenCount }));
/** A usageMetadata. `input` and `output` are counts by modality; null leaves them out. */
function usage(input, output, more = {}) {
  const count = (counts) => Object.values(counts ?? {}).reduce((sum, value) => sum + value, 0);
  return {
    ...(input && { promptTokenCount: count(input), promptTokensDetails: details(input) }),
    ...(output && { responseTokenCount: count(output), responseTokensDetails: details(output) }),
    totalTokenCount: count(input) + count(output),
    ...more,
  };
}
/** Counts messages of the form [turn, usage, seconds]. */
const count = (...messages) =>
  new TokenCounter().count(messages.map(([turn, usage, seconds = 0]) => ({ turn, usage, seconds }))).usage;
const brief = ({ reading, total }) => [reading, total.input, total.output, total.total];

test('counts by direction and modality, per turn and in all', () => {
  const counted = count(
    [1, usage({ text: 8, audio: 50 }, { audio: 75 }, { thoughtsTokenCount: 9, cachedContentTokenCount: 4 })],
    [2, usage({ text: 8, audio: 160 }, { audio: 25, text: 2 }, { toolUsePromptTokenCount: 6 })],
  );
  assert.deepEqual(counted, {
    reading: 'single',
    turn: {
      number: 2,
      input: 168,
      inputBy: { text: 8, audio: 160 },
      output: 27,
      outputBy: { audio: 25, text: 2 },
      cached: 0,
      thoughts: 0,
      toolPrompts: 6,
      total: 195,
    },
    total: {
      input: 226,
      inputBy: { text: 16, audio: 210 },
      output: 102,
      outputBy: { audio: 100, text: 2 },
      cached: 4,
      thoughts: 9,
      toolPrompts: 6,
      total: 328,
    },
  });
});

test('counts of a turn that only grow are those of the turn so far', () => {
  const counted = count(
    [1, usage({ text: 10 }, { audio: 25 }), 1],
    [1, usage({ text: 10 }, { audio: 50 }), 2],
    [1, usage({ text: 10 }, { audio: 75 }), 3],
    [2, usage({ text: 95 }, { audio: 25 }), 1],
  );
  assert.deepEqual(brief(counted), ['cumulative', 105, 100, 205]);
  assert.deepEqual(counted.total.outputBy, { audio: 100 });
});

test('a count that falls within a turn is that of a message, in all turns of the start', () => {
  const first = [
    [1, usage({ text: 10 }, { audio: 25 })],
    [1, usage(null, { audio: 30 })],
  ];
  assert.deepEqual(brief(count(...first)), ['per-message', 10, 55, 65]);
  const later = [
    [1, usage({ text: 10 }, { audio: 25 })],
    [1, usage({ text: 10 }, { audio: 30 })],
    [2, usage({ text: 70 }, { audio: 25 })],
    [2, usage({ text: 70 }, { audio: 5 })],
  ];
  assert.deepEqual(brief(count(...later.slice(0, 2))), ['cumulative', 10, 30, 40]);
  assert.deepEqual(brief(count(...later)), ['per-message', 80, 85, 165], 'an input counts once');
});

test('where no count falls, the audio of the turn decides', () => {
  const even = [1, 2, 3, 4].map((seconds) => [1, usage({ text: 10 }, { audio: 25 }), seconds]);
  assert.deepEqual(brief(count(...even)), ['per-message', 10, 100, 110]);
  // The same counts of a turn of one second, reported again and again.
  assert.deepEqual(brief(count(...even.map(([turn, usage]) => [turn, usage, 1]))), ['cumulative', 10, 25, 35]);
});

test('another input within a turn is billed too', () => {
  const counted = count([1, usage({ text: 100 }, { audio: 30 })], [1, usage({ text: 140 }, { audio: 10 })]);
  assert.deepEqual(brief(counted), ['per-message', 240, 40, 280]);
});

test('keeps the service’s counts where the modalities do not sum to them or are missing', () => {
  const counted = count(
    [1, { promptTokenCount: 60, promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 40 }], totalTokenCount: 99 }],
    [2, { promptTokenCount: 5, promptTokensDetails: [{ tokenCount: 5 }, { modality: 'AUDIO' }] }],
    [3, {}],
  );
  assert.deepEqual(brief(counted), ['single', 65, 0, 99]);
  assert.deepEqual(counted.total.inputBy, { audio: 40, other: 5 });
});

test('counts do not change later, and a late module loses none', async () => {
  const diagnostics = new Diagnostics();
  const message = (turn) => ({ turn, seconds: 1, usage: usage({ audio: 50 }, { audio: 25 }) });
  const waiting = [1, 2, 3].map((turn) => diagnostics.used(message(turn)));
  assert.equal(diagnostics.snapshot().usage, null);
  await Promise.all(waiting);
  const before = diagnostics.snapshot();
  assert.deepEqual(before.tokens, { input: 150, output: 75, total: 225 });
  await diagnostics.used(message(4));
  assert.equal(before.usage.total.input, 150);
  const report = brokerReport(diagnostics.snapshot());
  assert.deepEqual(
    [report.input_tokens, report.input_audio_tokens, report.output_audio_tokens, report.cached_tokens],
    [200, 200, 100, 0],
  );
  assert.equal('input_text_tokens' in report, false, 'the service counted no text');
  assert.equal('cached_tokens' in brokerReport(new Diagnostics().snapshot()), false);
});
