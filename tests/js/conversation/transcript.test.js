import assert from 'node:assert/strict';
import { test } from 'node:test';

import { newest } from '../../../web/live/conversation/history.js';
import { Transcript } from '../../../web/live/conversation/transcript.js';

/** A transcript and the sentences that it reported. */
function started() {
  const sentences = [];
  const transcript = new Transcript(({ role, text, first }) =>
    sentences.push(`${role}${first ? '' : ' goes on'}: ${text}`),
  );
  const take = (turn, role, text, more = {}) =>
    transcript.update({ id: `s1-${turn}-${role}`, turn, role, text, ...more });
  return { transcript, sentences, take };
}

test('replaces a turn with the same id and puts a late question before its answer', () => {
  const { transcript, take } = started();
  take(1, 'model', 'Hel');
  take(1, 'model', 'Hello.');
  take(2, 'user', 'And');
  take(1, 'user', 'Hi.');
  assert.deepEqual(
    transcript.turns.map(({ text }) => text),
    ['Hi.', 'Hello.', 'And'],
  );
  assert.equal(transcript.text(), 'User: Hi.\nModel: Hello.\nUser: And\n');
  assert.deepEqual(JSON.parse(transcript.json()), transcript.turns);
});

test('changes to a copy do not change the transcript', () => {
  const { transcript, take } = started();
  take(1, 'user', 'Hi.');
  transcript.turns[0].text = 'changed';
  assert.equal(transcript.turns[0].text, 'Hi.');
});

test('reports only finished sentences, each once', () => {
  const { sentences, take } = started();
  take(1, 'model', 'It is 3.');
  assert.deepEqual(sentences, []);
  take(1, 'model', 'It is 3.14. Or');
  take(1, 'model', 'It is 3.14. Or so');
  take(1, 'model', 'It is 3.14. Or so', { final: true });
  take(1, 'model', 'It is 3.14. Or so', { final: true });
  assert.deepEqual(sentences, ['model: It is 3.14.', 'model goes on: Or so']);
});

test('a new word of a ten-minute speech is as cheap as the first', (t) => {
  const { take, sentences } = started();
  let scanned = 0;
  const { matchAll } = String.prototype;
  t.mock.method(String.prototype, 'matchAll', function (...call) {
    scanned += this.length;
    return matchAll.apply(this, call);
  });
  const costs = [];
  let text = '';
  for (let word = 1; word <= 1500; word += 1) {
    text += word % 12 ? 'word ' : 'end. ';
    const before = scanned;
    take(1, 'model', text);
    costs.push(scanned - before);
  }
  assert.equal(sentences.length, 125);
  assert.ok(Math.max(...costs.slice(-100)) <= Math.max(...costs.slice(0, 100)), `${costs.at(-1)} characters`);
  assert.ok(Math.max(...costs) < 100);
});

test('a turn with several captions of the user, by speaker', () => {
  const { transcript, sentences, take } = started();
  take(1, 'user', 'I ask.', { speaker: 'spk_1' });
  transcript.update({ id: 's1-1-user-2', turn: 1, role: 'user', text: 'me too', speaker: 'spk_2' });
  take(1, 'model', 'Both.');
  transcript.update({ id: 's1-1-user-3', turn: 1, role: 'user', text: 'And I.', speaker: 'spk_1' });
  assert.equal(transcript.text(), 'spk_1: I ask.\nspk_2: me too\nspk_1: And I.\nModel: Both.\n');
  assert.deepEqual(sentences.slice(0, 1), ['user: me too']);
});

test('knows the ends of sentences in other scripts', () => {
  const { sentences, take } = started();
  take(1, 'model', 'كيف حالك؟ جيد');
  take(2, 'model', 'आप कैसे हैं। ठीक');
  take(3, 'model', '你好。好');
  assert.deepEqual(sentences, ['model: كيف حالك؟', 'model: आप कैसे हैं।', 'model: 你好。']);
});

test('reports an unfinished question before its answer', () => {
  const { sentences, take } = started();
  take(1, 'user', 'what is the time');
  take(1, 'model', 'Noon. Or');
  take(1, 'user', 'what is the time please', { final: true });
  assert.deepEqual(sentences, ['user: what is the time', 'model: Noon.', 'user goes on: please']);
});

test('keeps at most the newest 5000 turns', () => {
  const { transcript, take } = started();
  for (let turn = 1; turn <= 6000; turn++) take(turn, 'user', 'x');
  assert.equal(transcript.turns.length, 5000);
  assert.equal(transcript.turns.at(-1).turn, 6000);
});

test('returns the newest turns of this start for a new session, within a limit', () => {
  const { transcript, take } = started();
  take(1, 'user', 'x'.repeat(19_000));
  take(2, 'user', 'y'.repeat(1_500));
  take(2, 'model', 'short');
  assert.deepEqual(
    newest(transcript.turns, 's1').map(({ role, parts }) => [role, parts[0].text.length]),
    [
      ['user', 1500],
      ['model', 5],
    ],
  );
  assert.deepEqual(newest(transcript.turns, 's2'), []);
  assert.deepEqual(newest(transcript.turns, 's'), []);
});

test('returns only what a session that was saved at some time does not include', () => {
  const transcript = new Transcript();
  const said = (id, role, text, startedAt, endedAt) =>
    transcript.update({ id, turn: 1, role, text, final: true, interrupted: false, startedAt, endedAt });
  said('s1-1-user', 'user', 'saved', 10, 20);
  said('s1-1-model', 'model', 'heard for long', 30, 120);
  said('s1-2-user', 'user', 'begun before', 90, 110);
  said('s1-2-model', 'model', 'new', 115, 130);
  said('s1-typed-1', 'user', 'typed before', 140, 140);
  said('s1-typed-2', 'user', 'typed after', 150, 150);
  const texts = (at, typed) => newest(transcript.turns, 's1', 2, { at, typed }).map(({ parts }) => parts[0].text);
  assert.deepEqual(texts(0, 2), ['saved', 'heard for long', 'begun before', 'new']);
  assert.deepEqual(texts(100, 2), ['begun before', 'new']);
  assert.deepEqual(texts(200, 1), ['typed after'], 'a handle that came late does not include it');
  assert.deepEqual(texts(200, 2), []);
});
