#!/usr/bin/env node
/**
 * Makes the npm package of the library: `node scripts/package.mjs [FOLDER]` writes live-broker-client-VERSION.tgz.
 *
 * The modules are those of web/live. Worker and worklets are replaced by single files without imports: bundlers copy
 * what `new URL('./x.js', import.meta.url)` names, and do not follow its imports.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const LIVE = join(ROOT, 'web/live');
const TARGET = resolve(process.argv[2] ?? join(ROOT, 'dist'));
const STAGE = join(ROOT, 'build', `npm-${process.pid}`);
/** Scripts that the library starts itself. Each is a program of its own. */
const PROGRAM = /-(worker|processor)\.js$/;
/** Vite turns files below 4 KB into `data:` addresses, which a content security policy blocks. So those stay readable. */
const LARGE_ENOUGH_TO_MINIFY = 'network/network-worker.js';

/** pyproject.toml is the one place of the version. */
function versionOfProject() {
  return /^version = "(.+)"$/m.exec(readFileSync(join(ROOT, 'pyproject.toml'), 'utf8'))[1];
}

function stageModules() {
  const wanted = (path) => !path.endsWith('.json') && !relative(LIVE, path).startsWith('types');
  cpSync(LIVE, STAGE, { recursive: true, filter: wanted });
  cpSync(join(ROOT, 'LICENSE'), join(STAGE, 'LICENSE'));
  const description = JSON.parse(readFileSync(join(LIVE, 'package.json'), 'utf8'));
  const { name, ...rest } = description;
  writeFileSync(join(STAGE, 'package.json'), JSON.stringify({ name, version: versionOfProject(), ...rest }, null, 2));
}

async function stagePrograms() {
  const programs = readdirSync(LIVE, { recursive: true }).filter((path) => PROGRAM.test(path));
  const bundled = programs.map((path) =>
    build({
      absWorkingDir: LIVE,
      entryPoints: [path],
      outdir: STAGE,
      outbase: LIVE,
      allowOverwrite: true,
      bundle: true,
      format: 'esm',
      target: 'es2023',
      minify: path === LARGE_ENOUGH_TO_MINIFY,
      sourcemap: 'linked',
      legalComments: 'none',
      tsconfigRaw: {},
      logLevel: 'warning',
    }),
  );
  await Promise.all(bundled);
}

function stageTypes() {
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  execFileSync(tsc, ['--project', join(ROOT, 'tsconfig.types.json'), '--outDir', join(STAGE, 'types')], {
    stdio: 'inherit',
  });
}

rmSync(STAGE, { recursive: true, force: true });
mkdirSync(TARGET, { recursive: true });
try {
  stageModules();
  stageTypes();
  await stagePrograms();
  const packed = execFileSync('npm', ['pack', '--json', '--loglevel=error', '--pack-destination', TARGET], {
    cwd: STAGE,
    encoding: 'utf8',
  });
  const { filename } = JSON.parse(packed)[0];
  process.stdout.write(`${join(TARGET, filename)}\n`);
} finally {
  rmSync(STAGE, { recursive: true, force: true });
}
