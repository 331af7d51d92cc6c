/**
 * Every browser API and every syntax in web/ exists in the oldest browsers that the library's README promises, or is asked
 * for before it is used. MDN's browser-compat-data knows what exists since when.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { parse } from 'acorn';
import { transform } from 'esbuild';

const DATA = new URL('../../node_modules/@mdn/browser-compat-data/data.json', import.meta.url);
const bcd = JSON.parse(readFileSync(DATA, 'utf8'));
const WEB = new URL('../../web/', import.meta.url);
const README = readFileSync(new URL('live/README.md', WEB), 'utf8');
const [, chrome, firefox, safari] =
  /Chrome and Edge (\d+), Firefox (\d+), Safari ([\d.]+), and later/.exec(README) ?? [];
const PROMISED = { chrome, edge: chrome, firefox, safari, safari_ios: safari };

/** What is newer than promised in some browser. The code asks whether it is there. */
const ASKED_FOR = {
  audioSession: 'iOS only: audio/mic.js',
  fromBase64: 'shared/base64.js has both ways',
  toBase64: 'shared/base64.js has both ways',
  ImageCapture: 'media/camera.js has a video element otherwise',
  grabFrame: 'of ImageCapture',
  playbackStats: 'audio/speaker.js: null otherwise',
  setSinkId: 'audio/speaker.js rejects a choice',
  trustedTypes: 'shared/trusted-url.js: plain addresses otherwise',
  createPolicy: 'of trustedTypes',
  underrunEvents: 'of playbackStats',
  getDisplayMedia: 'phones have none: the page hides the button',
  outputLatency: 'audio/speaker.js: 0 otherwise',
  vibrate: 'demo/cues.js: only sounds otherwise',
  wakeLock: 'audio/wake-lock.js: the screen may go dark',
};
/** Words of our own that some interface has too. */
const OUR_WORDS = [
  'WakeLock',
  'OverconstrainedError',
  'blocking',
  'chunks',
  'format',
  'image',
  'info',
  'navigate',
  'scheduling',
  'share',
];

const files = readdirSync(WEB, { recursive: true }).filter((name) => /\.js$/.test(name) && !name.startsWith('bundle'));
const sources = new Map(files.map((name) => [name, readFileSync(new URL(name, WEB), 'utf8')]));

/** @param {string} version */
const number = (version) => {
  const [major, minor = 0] = version.replace('≤', '').split('.').map(Number);
  return major * 1000 + minor;
};

/** Whether all promised browsers have a feature without a setting. @param {any} feature */
function isOldEnough(feature) {
  return Object.entries(PROMISED).every(([browser, promised]) =>
    [feature.__compat.support[browser] ?? []]
      .flat()
      .some(
        ({ version_added: added, version_removed: removed, flags, prefix, alternative_name: other }) =>
          typeof added === 'string' &&
          added !== 'preview' &&
          number(added) <= number(promised) &&
          !(typeof removed === 'string' && number(removed) <= number(promised)) &&
          !(flags || prefix || other),
      ),
  );
}

/** Interfaces whose members may be meant by a plain `.name`: those that web/ has objects of. */
const USED =
  /^(HTML\w*Element|SVG\w*Element|Element|Node|Document|Window|EventTarget|\w*Event|CSSStyleDeclaration|DOMTokenList|NodeList|Text|Range|Selection|DOMRect|\w*Audio\w*|MediaDevices|MediaStream\w*|ImageCapture|ImageBitmap|\w*Canvas\w*|MessagePort|MessageChannel|Worker\w*|WebSocket|Response|Request|Headers|URL|URLSearchParams|Abort\w+|Blob|File|Navigator|Performance|Crypto|Clipboard|WakeLock\w*|Permission\w*|ResizeObserver\w*|MediaQueryList|Location|History|Storage|Text(En|De)coder|Animation|Notification|DataTransfer)$/;

/** Members of these interfaces and of built-in objects by name. @type {Map<string, any[]>} */
const members = new Map();
const globals = new Map();
for (const interfaces of [bcd.api, bcd.javascript.builtins])
  for (const [name, features] of Object.entries(interfaces)) {
    if (features.__compat) globals.set(name, features);
    if (interfaces === bcd.api && !USED.test(name)) continue;
    for (const [member, feature] of Object.entries(features)) {
      const plain = member.replace(/_(static|event)$/, '');
      if (member !== '__compat' && feature.__compat) members.set(plain, [...(members.get(plain) ?? []), feature]);
    }
  }

/** Calls `visit` for each node. @param {any} node @param {(node: any) => void} visit */
function walk(node, visit) {
  if (Array.isArray(node)) for (const item of node) walk(item, visit);
  else if (typeof node?.type === 'string') {
    visit(node);
    for (const value of Object.values(node)) walk(value, visit);
  }
}

const trees = [...sources].map(([name, code]) => [name, parse(code, { ecmaVersion: 2023, sourceType: 'module' })]);

/** Names that our own objects have. */
const own = new Set(OUR_WORDS);
for (const [, tree] of trees)
  walk(tree, ({ type, key }) => {
    if (/^(MethodDefinition|PropertyDefinition)$/.test(type) && key.name) own.add(key.name);
  });

/** Interfaces of well-known objects. */
const OBJECTS = {
  navigator: 'Navigator',
  document: 'Document',
  performance: 'Performance',
  crypto: 'Crypto',
  history: 'History',
};

/** The features that `object.property` may mean. @returns {[string, any[]]} */
function meaning(object, member) {
  const of = OBJECTS[object.name] ?? object.name ?? '';
  const known = { ...bcd.api[of], ...bcd.javascript.builtins[of] };
  const exact = known[`${member}_static`] ?? known[member];
  if (exact?.__compat) return [`${of}.${member}`, [exact]];
  return [member, own.has(member) ? [] : (members.get(member) ?? [])];
}

/** What a file uses: names of globals, of members, and `Object.member`. @returns {{name: string, candidates: any[]}[]} */
function uses(tree) {
  const found = new Map();
  const add = (name, candidates) => candidates.length > 0 && found.set(name, candidates);
  const visitors = {
    Identifier: ({ name }) => globals.has(name) && !own.has(name) && add(name, [globals.get(name)]),
    ObjectPattern({ properties }) {
      for (const { key } of properties) if (key?.name && !own.has(key.name)) add(key.name, members.get(key.name) ?? []);
    },
    MemberExpression({ object, property, computed }) {
      if (!computed && property.type === 'Identifier') add(...meaning(object, property.name));
    },
  };
  walk(tree, (node) => visitors[node.type]?.(node));
  return [...found].map(([name, candidates]) => ({ name, candidates }));
}

test('the README says which browsers it promises', () => {
  assert.deepEqual(Object.values(PROMISED).map(Boolean), Array(5).fill(true));
});

test('the data know what is too new', () => {
  const tooNew = (code) =>
    uses(parse(code, { ecmaVersion: 2023, sourceType: 'module' }))
      .filter(({ candidates }) => !candidates.some(isOldEnough))
      .map(({ name }) => name);
  assert.deepEqual(
    tooNew('URL.canParse(x); AbortSignal.any([]); Promise.try(f); new EyeDropper(); document.startViewTransition();'),
    ['URL.canParse', 'AbortSignal.any', 'Promise.try', 'EyeDropper', 'Document.startViewTransition'],
  );
  assert.deepEqual(tooNew('set.isSubsetOf(other); const { documentPictureInPicture } = window;').length, 2);
  assert.deepEqual(
    tooNew('a.at(-1); a.findLast(f); structuredClone(a); new AudioContext(); AbortSignal.timeout(1);'),
    [],
  );
});

for (const [file, tree] of trees)
  test(`${file} uses only what the promised browsers have`, () => {
    const found = uses(tree)
      .filter(
        ({ name, candidates }) => !candidates.some(isOldEnough) && !Object.hasOwn(ASKED_FOR, name.split('.').at(-1)),
      )
      .map(({ name }) => name);
    assert.deepEqual(found, []);
  });

test('the list of what is asked for has no entry that nothing uses', () => {
  const code = [...sources.values()].join('\n');
  assert.deepEqual(
    Object.keys(ASKED_FOR).filter((name) => !new RegExp(`\\b${name}\\b`).test(code)),
    [],
  );
});

test('no syntax is newer than the promised browsers', async () => {
  const target = [`chrome${chrome}`, `edge${chrome}`, `firefox${firefox}`, `safari${safari}`];
  const options = { format: 'esm', minify: false, tsconfigRaw: '{}' };
  for (const [file, code] of sources) {
    const [plain, lowered] = await Promise.all([
      transform(code, { ...options, target: 'esnext' }),
      transform(code, { ...options, target }),
    ]);
    assert.equal(lowered.code, plain.code, file);
  }
});
