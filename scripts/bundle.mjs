#!/usr/bin/env node
/**
 * Writes web/bundle/, or bundle/ in another copy of web/: the pages' scripts and style sheets in a few files each.
 *
 * The broker serves the bundle while `sources` in its manifest equals the hash of web/, and the plain modules
 * otherwise. So an edited module takes effect at the next reload, and nothing outdated is ever served.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build, transform, version } from 'esbuild';

const WEB = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '../web'));
const TARGET = join(WEB, 'bundle');
const PAGES = ['demo', 'docs', 'ops'];
/** Scripts that the library starts itself. Each is a program of its own. */
const PROGRAM = /-(worker|processor)\.js$/;
const OPTIONS = {
  absWorkingDir: WEB,
  bundle: true,
  format: 'esm',
  target: 'es2023',
  minify: true,
  // Developer tools then show the plain modules, which the broker serves as well. So the maps need no copy of them.
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  tsconfigRaw: {}, // not the type checker's settings, which depend on where the folder is
  logLevel: 'warning',
};

const sources = readdirSync(WEB, { recursive: true })
  .filter((path) => /\.(js|css)$/.test(path) && !path.startsWith('bundle'))
  .sort();

/** @param {string | Buffer} data */
function hash(data) {
  return createHash('sha256').update(data).digest('hex');
}

/** The hash that broker/http/assets.py computes as well. */
function hashOfSources() {
  return hash(sources.map((path) => `${path} ${hash(readFileSync(join(WEB, path)))}\n`).join(''));
}

/** Keeps URLs of other library files relative to their original module. A bundle lies one folder deep. */
const addresses = {
  name: 'addresses',
  setup({ onLoad }) {
    onLoad({ filter: /\/live\/.*\.js$/ }, ({ path }) => {
      const here = `new URL('../${relative(WEB, path)}', import.meta.url).href`;
      return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', here), loader: 'js' };
    });
  },
};

/** In a program, a module that loads on first use stays the file that it is. @param {string} program relative to web/ */
const late = (program) => ({
  name: 'late',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const to = relative(join(TARGET, dirname(program)), join(resolveDir, path));
      return { path: to, external: true };
    });
  },
});

/** Whether a current bundle exists. It is then left unchanged, because a running broker may read its files. */
function isMade() {
  try {
    const { sources, by } = JSON.parse(readFileSync(join(TARGET, 'manifest.json'), 'utf8'));
    return sources === made.sources && by === made.by;
  } catch {
    return false;
  }
}

/** The files that an output imports statically, at any depth. */
function imported(outputs, name) {
  const found = new Set([name]);
  for (const output of found) {
    for (const { path, kind } of outputs[output].imports) if (kind === 'import-statement') found.add(path);
  }
  return [...found];
}

async function bundlePage(page, folder) {
  const { metafile } = await build({
    ...OPTIONS,
    entryPoints: [`${page}/main.js`],
    outdir: join(folder, page),
    splitting: true,
    chunkNames: '[name]-[hash]',
    metafile: true,
    plugins: [addresses],
  });
  const styles = ['common/base.css', ...sources.filter((path) => path.startsWith(`${page}/`) && path.endsWith('.css'))];
  const css = styles.map((path) => readFileSync(join(WEB, path), 'utf8')).join('');
  const { code } = await transform(css, { loader: 'css', minify: true });
  writeFileSync(join(folder, page, 'main.css'), code);
  const main = Object.keys(metafile.outputs).find((path) => metafile.outputs[path].entryPoint === `${page}/main.js`);
  return imported(metafile.outputs, main).map((path) => `${page}/${basename(path)}`);
}

const made = { sources: hashOfSources(), by: hash(version + readFileSync(fileURLToPath(import.meta.url), 'utf8')) };
if (isMade()) process.exit();
const folder = `${TARGET}.new`;
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
const modules = Object.fromEntries(
  await Promise.all(PAGES.map(async (page) => [page, await bundlePage(page, folder)])),
);
const programs = sources.filter((path) => PROGRAM.test(path));
await Promise.all(
  programs.map((path) =>
    build({ ...OPTIONS, entryPoints: [path], outdir: folder, outbase: WEB, plugins: [late(path)] }),
  ),
);
writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...made, modules }, null, 2));
rmSync(TARGET, { recursive: true, force: true });
renameSync(folder, TARGET);
