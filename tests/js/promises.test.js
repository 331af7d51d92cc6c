/** Rules for every file of the library. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as live from '../../web/live/index.js';

const ROOT = new URL('../../web/live/', import.meta.url);
const files = readdirSync(ROOT, { recursive: true }).filter((name) => name.endsWith('.js'));
/** A file's code without comments, which may contain any word. */
const code = (name) => readFileSync(new URL(name, ROOT), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');

test('index.js exports four names', () => {
  assert.deepEqual(Object.keys(live).sort(), ['LiveError', 'LiveSession', 'TokenSource', 'connect']);
});

for (const name of files) {
  test(`${name} does not use the DOM, the console or storage`, () => {
    // The camera pauses on a hidden page, and some browsers read pictures of a stream only through an element.
    const allowed =
      name === 'media/camera.js'
        ? /globalThis\.document\?|ImageCapture, document|document\.createElement\('video'\)/g
        : /$^/g;
    const found = code(name)
      .replaceAll(allowed, '')
      .match(/\b(document|console|localStorage|sessionStorage|indexedDB|innerHTML|eval|alert)\b/);
    assert.equal(found, null);
  });

  test(`${name} imports only by relative path`, () => {
    for (const [, from] of code(name).matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) assert.match(from, /^\.{1,2}\//);
  });

  test(`${name} begins with a comment about its purpose`, () => {
    assert.match(readFileSync(new URL(name, ROOT), 'utf8'), /^\/\*\*\n \* \S/);
  });
}
