import assert from 'node:assert/strict';
import { test } from 'node:test';

import { explain } from '../../../web/demo/errors.js';

/** Sets a global for one test. */
function set(t, name, value) {
  const before = Object.getOwnPropertyDescriptor(globalThis, name);
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]));
}

test('a page without https says that it needs https, whatever fails because of it', (t) => {
  set(t, 'isSecureContext', false);
  for (const error of [
    new Error('The sign-in was not kept'),
    { reason: 'unsupported', detail: 'Voice needs https.' },
    { reason: 'no-microphone' },
    { code: 'missing-credentials' },
    new TypeError('crypto.subtle is undefined'),
  ])
    assert.match(explain(error).title, /HTTPS/);
  assert.equal(explain({ code: 'rate-limited' }).code, 'rate-limited', 'another cause stays');
});

test('with https, or where nobody knows, an unknown error is ours', (t) => {
  assert.match(explain(new Error('x')).title, /our side/);
  set(t, 'isSecureContext', true);
  assert.match(explain(new Error('x')).title, /our side/);
});

test('only a failure says that the browser is offline', (t) => {
  set(t, 'navigator', { onLine: false });
  assert.equal(explain({ reason: 'network' }).code, 'offline');
  assert.equal(explain({ code: 'rate-limited' }).code, 'rate-limited');
  set(t, 'navigator', { onLine: true });
  assert.equal(explain({ reason: 'network' }).code, 'network');
});

test('every warning of the library has a row', () => {
  for (const code of ['end-lost', 'heartbeats-lost']) assert.notEqual(explain({ code }).title, explain(null).title);
});
