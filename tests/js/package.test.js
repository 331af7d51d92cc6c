/** The library as a package: its files, its types in TypeScript, and its size. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';

import { build } from 'esbuild';

import * as library from '../../web/live/index.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const LIVE = join(ROOT, 'web/live');
const README = readFileSync(join(LIVE, 'README.md'), 'utf8');
const TSC = join(ROOT, 'node_modules/.bin/tsc');
const PROGRAM = /-(worker|processor)\.js$/;
/** The size of what an app bundles. The worker and the worklets are separate programs and are loaded separately. */
const LIBRARY_BYTES = 12 * 1024;
/** The size of all that a spoken conversation loads. tests/browser/test_delivery.py measures the separate files of a page. */
const CONVERSATION_BYTES = 22 * 1024;

let folder = '';
let files = [];
let target = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'live-package-'));
  const packed = execFileSync('node', [join(ROOT, 'scripts/package.mjs'), folder], { encoding: 'utf8' }).trim();
  target = join(folder, 'node_modules/@live-broker/client');
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['xzf', packed, '-C', target, '--strip-components=1']);
  files = readdirSync(target, { recursive: true }).filter((path) => statSync(join(target, path)).isFile());
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('the package contains only the modules, their types and maps, the README, the licence and package.json', () => {
  const modules = readdirSync(LIVE, { recursive: true }).filter((name) => name.endsWith('.js'));
  const maps = modules.filter((name) => PROGRAM.test(name)).map((name) => `${name}.map`);
  const expected = [...modules, ...maps, 'LICENSE', 'README.md', 'package.json'];
  assert.deepEqual(files.filter((path) => !path.startsWith('types/')).sort(), expected.sort());
  assert.ok(files.includes('types/index.d.ts'));
  assert.ok(files.every((path) => !path.startsWith('types/') || path.endsWith('.d.ts')));
  const about = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'));
  assert.deepEqual({ ...about.dependencies, ...about.peerDependencies }, {});
  assert.equal(about.version, /^version = "(.+)"$/m.exec(readFileSync(join(ROOT, 'pyproject.toml'), 'utf8'))[1]);
});

test('worker and worklets are single files that no bundler turns into a data: address, with their sources', () => {
  for (const path of files.filter((name) => PROGRAM.test(name))) {
    const code = readFileSync(join(target, path), 'utf8');
    assert.doesNotMatch(code.replaceAll(/\/\*.*?\*\//gs, ''), /^import\b|\bimport\(/m, path);
    assert.ok(code.length > 4096, `${path} has ${code.length} characters`);
    const map = JSON.parse(readFileSync(join(target, `${path}.map`), 'utf8'));
    assert.equal(map.sourcesContent.length, map.sources.length);
    assert.match(code, /sourceMappingURL=/);
  }
});

const CONSUMER = `
import { connect, LiveError, LiveSession, TokenSource } from '@live-broker/client';

const session = new LiveSession({ tokenSource: TokenSource.endpoint('/token'), tools: { add: ({ a, b }) => Number(a) + Number(b) } });
session.addEventListener('caption', ({ detail }) => { const words: string = detail.text; console.log(words, detail.final === true); });
session.addEventListener('reconnecting', ({ detail }) => { const tries: number = detail.attempt; console.log(tries); });
session.start({ microphone: false }).catch((error: LiveError) => { const why: 'network' | string = error.reason; console.log(why); });
const line = await connect({ token: 't', url: 'wss://example.test' });
line.sendRealtimeInput({ text: 'Hello' });
// @ts-expect-error no such option
new LiveSession({ tokenSorce: 1 });
// @ts-expect-error a text, not a number
line.sendRealtimeInput({ text: 1 });
export {};
`;

test('a correct TypeScript program compiles strictly against the package and an incorrect one does not', () => {
  writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  const compilerOptions = {
    target: 'ES2023',
    module: 'NodeNext',
    lib: ['ES2023', 'DOM', 'DOM.Iterable'],
    types: [],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
  try {
    execFileSync(TSC, ['--project', folder], { encoding: 'utf8' });
  } catch (fault) {
    assert.fail(fault.stdout);
  }
});

/** Leaves out modules that `import(…)` loads on first use. */
const later = {
  name: 'later',
  setup: (build) =>
    build.onResolve({ filter: /^\./ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path, external: true } : undefined,
    ),
};

/** The size as one minified and compressed file. @param {string[]} entries */
async function weigh(...entries) {
  const { outputFiles } = await build({
    stdin: {
      contents: entries.map((path) => `export * from ${JSON.stringify(join(LIVE, path))};`).join('\n'),
      resolveDir: ROOT,
    },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
    tsconfigRaw: '{}',
    ignoreAnnotations: true, // a worker and a worklet are nothing but side effects
    plugins: [later],
  });
  return brotliCompressSync(outputFiles[0].contents).length;
}

test('the library and a spoken conversation stay within their size budgets', async () => {
  const library = await weigh('index.js');
  const conversation = await weigh(
    'index.js',
    'network/network-worker.js',
    'audio/worklets/capture-processor.js',
    'audio/worklets/playback-processor.js',
  );
  assert.ok(library > 5000, 'the bundle is not empty');
  assert.ok(library <= LIBRARY_BYTES, `${library} bytes`);
  assert.ok(conversation > library + 5000, 'includes worker and worklets');
  assert.ok(conversation <= CONVERSATION_BYTES, `${conversation} bytes`);
});

test('the README names every export, method, event and error reason', () => {
  const names = Object.keys(library);
  const methods = Object.getOwnPropertyNames(library.LiveSession.prototype).filter(
    (name) => name !== 'constructor' && name !== 'emit',
  );
  const events = [
    ...readFileSync(join(LIVE, 'shared/events.js'), 'utf8')
      .split('object} LiveEvents')[1]
      .split('*/')[0]
      .matchAll(/^ \* @property .*?\}+ (\w+)\b/gm),
  ].map(([, name]) => name);
  const reasons = [
    ...readFileSync(join(LIVE, 'shared/errors.js'), 'utf8')
      .split('LiveErrorReason')[0]
      .matchAll(/'([a-z-]+)'/g),
  ].map(([, name]) => name);
  assert.ok(events.includes('caption') && events.includes('reconnected') && reasons.includes('network'));
  const missing = [...names, ...methods, ...events, ...reasons].filter((name) => !README.includes(name));
  assert.deepEqual(missing, []);
});
