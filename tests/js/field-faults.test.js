/** The table of faults in docs/client.md is complete, and each of its tests exists. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const ROOT = new URL('../../', import.meta.url);
const [, rest] = readFileSync(new URL('docs/client.md', ROOT), 'utf8').split('## Faults from the field');
const [table] = rest.split('\n## ');
const rows = [...table.matchAll(/^\| (\d+) (.*?) \| (.*?) \| (.*?) \|$/gm)];
const quoted = (text) => [...text.matchAll(/`(.*?)`/g)].map(([, inner]) => inner);

test('the table has all 18 faults', () => {
  assert.deepEqual(
    rows.map(([, number]) => Number(number)),
    Array.from({ length: 18 }, (_, n) => n + 1),
  );
});

for (const [, number, fault, files, words] of rows)
  test(`${number} ${fault}: its tests exist`, () => {
    const code = quoted(files)
      .map((path) => readFileSync(new URL(path, ROOT), 'utf8'))
      .join('\n');
    for (const word of quoted(words)) assert.ok(code.includes(word), word);
  });
