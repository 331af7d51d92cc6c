/** What holds for every file of the library, whatever it does. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as live from '../../web/live/index.js';

const ROOT = new URL('../../web/live/', import.meta.url);
const files = readdirSync(ROOT, { recursive: true }).filter((name) => name.endsWith('.js'));
/** Without comments, which may speak of anything. */
const code = (name) => readFileSync(new URL(name, ROOT), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

test('the door has four things behind it', () => {
  assert.deepEqual(Object.keys(live).sort(), ['LiveError', 'LiveSession', 'TokenSource', 'connect']);
});

for (const name of files) {
  test(`${name} touches no page, logs nothing, stores nothing`, () => {
    // A camera stops with the page's being seen, and some browsers turn a stream into pictures only in an element.
    const allowed =
      name === 'media/camera.js'
        ? /globalThis\.document\?|ImageCapture, document|document\.createElement\('video'\)/g
        : /$^/g;
    const found = code(name)
      .replaceAll(allowed, '')
      .match(/\b(document|console|localStorage|sessionStorage|indexedDB|innerHTML|eval|alert)\b/);
    assert.equal(found, null);
  });

  test(`${name} imports only its neighbours`, () => {
    for (const [, from] of code(name).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) assert.match(from, /^\.{1,2}\//);
  });

  test(`${name} opens by saying what it is for`, () => {
    assert.match(readFileSync(new URL(name, ROOT), 'utf8'), /^\/\*\*\n \* \S/);
  });
}
