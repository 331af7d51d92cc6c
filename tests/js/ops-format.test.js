import assert from 'node:assert/strict';
import test from 'node:test';

import { money } from '../../web/ops/format.js';

test('money is shown with its currency, and small amounts with more decimals', () => {
  assert.equal(money('1.265', 'USD'), '$1.27');
  assert.equal(money('0.081266667', 'USD'), '$0.0813');
  assert.equal(money('0.00', 'EUR'), '€0.00');
  assert.equal(money('12345.6', 'USD'), '$12,345.60');
  assert.equal(money(null, 'USD'), 'unknown');
  assert.equal(money('0.00', null), 'unknown');
});
