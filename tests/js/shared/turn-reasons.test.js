import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TurnCompleteReason } from '@google/genai';

import { turnReason } from '../../../web/live/shared/turn-reasons.js';

const AGAIN = new Set([
  'TURN_COMPLETE_REASON_UNSPECIFIED',
  'MALFORMED_FUNCTION_CALL',
  'RESPONSE_REJECTED',
  'MAX_REGENERATION_REACHED',
]);

test('every reason of the SDK has a sentence, and safety is not asked again', () => {
  const reasons = Object.values(TurnCompleteReason);
  assert.ok(reasons.length >= 28);
  for (const reason of reasons) {
    const { final, detail } = turnReason(reason);
    assert.equal(final, !AGAIN.has(reason), reason);
    assert.equal(/safety/.test(detail), final && reason !== 'NEED_MORE_INPUT', reason);
  }
});

test('an unknown reason counts as a failure', () => {
  for (const reason of ['', 'SOMETHING_NEW', 'constructor', 'toString']) {
    assert.deepEqual(turnReason(reason), { final: false, detail: 'The model ended its turn without an answer.' });
  }
});
