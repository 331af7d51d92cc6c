import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ContextCheck } from '../../../web/live/network/context-check.js';
import { opensTurn } from '../../../web/live/network/turn-playback.js';

const WORDS = { type: 'outputText', text: 'Good morning! How may I help you today?' };
const over = { type: 'turnComplete' };
const usage = (promptTokenCount) => ({ type: 'usage', usage: { promptTokenCount } });

/** The check after these turns, each [count, words?]. */
function after(turns, setup) {
  const check = new ContextCheck();
  check.granted(setup);
  check.connected(false);
  for (const turn of turns) assert.equal(see(check, turn), false);
  return check;
}

/** One turn, counted before its end. Returns whether the context is lost. */
function see(check, [count, words = WORDS], asked = true) {
  const facts = [words, ...(count ? [usage(count)] : []), over];
  return facts.map((fact) => check.observe(fact, opensTurn(fact), asked)).some(Boolean);
}

for (const [name, turns, count, lost] of [
  ['goes on', [[100], [200], [300]], 400, false],
  ['stays about the same', [[100], [200], [300]], 290, false],
  ['starts again', [[100], [200], [300]], 120, true],
  ['starts again with a long instruction', [[5000], [5100], [5200]], 5010, true],
  ['has hardly begun', [[100], [110]], 100, false],
  ['was never counted', [[0], [0]], 100, false],
]) {
  test(`a count that ${name} means ${lost ? 'a lost context' : 'nothing'}`, () => {
    const check = after(turns);
    check.connected(true);
    assert.equal(see(check, [count]), lost);
    assert.equal(see(check, [count]), false, 'it is reported once');
  });
}

test('only a resume is checked', () => {
  const check = after([[100], [200], [300]]);
  assert.equal(see(check, [100]), false);
  check.connected(false);
  assert.equal(see(check, [100]), false);
});

test('a context that was cut to its window is not lost', () => {
  const setup = { contextWindowCompression: { slidingWindow: { targetTokens: '1000' } } };
  for (const [count, lost] of [
    [900, false],
    [100, true],
  ]) {
    const check = after([[100], [3000]], setup);
    check.connected(true);
    assert.equal(see(check, [count]), lost);
  }
  for (const compression of [{ triggerTokens: 2000 }, {}]) {
    const check = after([[100], [90_000]], { contextWindowCompression: compression });
    check.connected(true);
    assert.equal(see(check, [40_000]), false);
  }
});

test('a count after the end of the turn is acted on at once; one within the turn at its end', () => {
  const check = after([[100], [200], [300]]);
  check.connected(true);
  assert.equal(check.observe(WORDS, opensTurn(WORDS), true), false);
  assert.equal(check.observe(over, opensTurn(over), true), false);
  assert.equal(check.observe(usage(100), false, true), true);
});

test('without counts, a greeting that nobody asked for means a lost context', () => {
  const other = { type: 'outputText', text: 'The weather is fine and warm.' };
  for (const [words, asked, lost] of [
    [WORDS, false, true],
    [WORDS, true, false],
    [other, false, false],
    [{ type: 'outputText', text: 'Yes.' }, false, false],
  ]) {
    const check = after([[0], [0, other]]);
    check.connected(true);
    assert.equal(see(check, [0, words], asked), lost);
  }
});
