import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isolate } from '../../web/common/dom.js';

test('names inside sentences do not change the order of the words around them', () => {
  for (const name of ['דוד', 'علی\u200cرضا', 'a (ב)', 'ﷺ']) assert.equal(isolate(name), `\u2068${name}\u2069`);
  for (const name of ['Ada', '', '山田', 'Зоя', 'ci-key_1']) assert.equal(isolate(name), name);
});
