import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { transform } from 'esbuild';

import { PROGRAMS } from '../../../web/demo/get-code.js';

const ORIGIN = 'https://talk.example';
const HOSTILE = `it's "quoted" \${HOME} \\`;

/** @param {string} name @param {string} profile */
const text = (name, profile = 'storyteller') => PROGRAMS[name]({ origin: ORIGIN, profile });

test('each program names the broker and the profile, ends its session, and has no credential', () => {
  assert.deepEqual(Object.keys(PROGRAMS), ['curl', 'JavaScript', 'React', 'Python']);
  for (const name of Object.keys(PROGRAMS)) {
    assert.ok(text(name).includes(ORIGIN), name);
    assert.match(text(name), /"profile":"storyteller"/, name);
    assert.match(text(name), /end\b/, name);
    assert.doesNotMatch(text(name), /auth_tokens|eyJ|lbk_|demo-password/, name);
    assert.doesNotMatch(text(name, ''), /"profile"/, name);
  }
});

test('programs are valid, also with a name that needs quoting', async () => {
  for (const profile of ['storyteller', HOSTILE]) {
    execFileSync('bash', ['-n'], { input: text('curl', profile) });
    await transform(text('JavaScript', profile), { loader: 'js', format: 'esm' });
    await transform(text('React', profile), { loader: 'jsx', format: 'esm' });
    execFileSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], { input: text('Python', profile) });
  }
});
