import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readHeard as read } from '../../../web/live/shared/heard.js';

test('reads speaker, offsets and words', () => {
  const words = [
    { word: 'Good', startOffset: '1.200s', endOffset: '1.450s' },
    { word: 'day', startOffset: '2s' },
  ];
  assert.deepEqual(read({ text: 'Good day', speakerLabel: 'spk_1', startOffset: '1.200s', endOffset: '2.5s', words }), {
    speaker: 'spk_1',
    startMs: 1200,
    endMs: 2500,
    words: [
      { word: 'Good', startMs: 1200, endMs: 1450 },
      { word: 'day', startMs: 2000 },
    ],
  });
});

test('leaves out what is not as documented, and never fails', () => {
  assert.equal(read({ text: 'Good day' }), undefined);
  for (const odd of [null, 7, '', ' ', [], {}, true, '5', '-1s', '1e9s', 'NaNs', `${'9'.repeat(400)}s`]) {
    const words = [odd, { word: odd === 'NaNs' ? 3 : odd }, { startOffset: '1s' }];
    const heard = read({
      text: 'x',
      speakerLabel: typeof odd === 'string' ? null : odd,
      startOffset: odd,
      endOffset: odd,
      words,
    });
    const known = (heard?.words ?? []).every(({ word }) => typeof word === 'string');
    assert.ok(known && heard?.speaker === undefined && heard?.startMs === undefined, JSON.stringify(odd));
    assert.equal(read({ text: 'x', words: odd, speakerLabel: 'a'.repeat(500) }).speaker.length, 40);
  }
});
