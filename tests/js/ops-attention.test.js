import assert from 'node:assert/strict';
import { test } from 'node:test';

import { attentionOf } from '../../web/ops/attention.js';
import { look, REST } from '../../web/ops/charts/plot.js';
import { CODES, seriesOf, toneOf } from '../../web/ops/codes.js';
import { toCsv } from '../../web/ops/csv.js';

/** @param {object} [changes] */
const overview = ({ open = 1, limit = 50, refusals = {}, most = [], budgets = [] } = {}) =>
  /** @type {import('../../web/ops/api.js').Overview} */ (
    /** @type {unknown} */ ({
      now: '2026-11-30T10:00:00Z',
      project: { sessions: { open, limit } },
      last_hour: { refusals, most_refused: most },
      budgets_near_limits: budgets,
    })
  );
const whatOf = (/** @type {any} */ ...given) => attentionOf(given[0], given[1] ?? false).map(({ what }) => what);

test('nothing needs attention on a quiet broker, or for a few refusals of one user', () => {
  assert.deepEqual(whatOf(overview()), []);
  const few = { refusals: { 'rate-limited': 12, 'bad-login': 3 }, most: [{ actor: 'live-broker:bob', refusals: 12 }] };
  assert.deepEqual(whatOf(overview(few)), []);
});

test('a full project says how many were refused and what to raise', () => {
  const [item] = attentionOf(overview({ open: 50, refusals: { 'project-capacity': 263 } }), false);
  assert.equal(item.level, 'bad');
  assert.equal(item.what, '50 of 50 places taken, 263 requests refused in the last hour.');
  assert.match(item.advice, /^Raise sessions under \[project\]/);
  assert.deepEqual(
    item.links.map(([text]) => text),
    ['Live sessions', 'Refusals'],
  );
  assert.match(item.links[1][1], /^#\/audit\?kind=refusals&since=2026-11-30T09%3A00%3A00Z&outcome=project-capacity$/);
  assert.equal(attentionOf(overview({ open: 40 }), false)[0].level, 'warn');
  assert.match(
    whatOf(overview({ refusals: { 'project-capacity': 1 } }))[0],
    /1 request refused .* when all were taken/,
  );
});

test('errors of Google come first and name the next step', () => {
  const refusals = { busy: 2, 'upstream-timeout': 1, 'upstream-error': 2, 'upstream-quota': 4, 'upstream-rejected': 1 };
  assert.deepEqual(whatOf(overview({ refusals })), [
    'Google rejected 1 request in the last hour.',
    'Google’s quota was used up for 4 requests in the last hour.',
    'Google failed 3 times in the last hour.',
    '2 requests refused in the last hour: the broker was busy.',
  ]);
});

test('a suspension counts its refusals only while it is in force', () => {
  const given = overview({ refusals: { 'minting-suspended': 37 } });
  assert.deepEqual(whatOf(given, true), ['37 requests refused in the last hour: new tokens are suspended.']);
  assert.deepEqual(whatOf(given, false), []);
});

test('budgets near their limit are named, and one of the project is a problem when it is used up', () => {
  const money = { policy: 'budget_per_month', limit: '10.00', currency: 'USD', resets_at: '' };
  const budgets = [
    { kind: 'project', key: 'project', name: 'project', percent: 100, ...money, used: '10.00' },
    { kind: 'user', key: '4b0e', name: 'alice', percent: 85, ...money, used: '8.50' },
    {
      ...{ kind: 'key', key: '77aa', name: 'shop', percent: 90, policy: 'minutes_per_month' },
      ...{ limit: 100, used: 90, currency: null, resets_at: '' },
    },
  ];
  const [project, others] = attentionOf(overview(/** @type {any} */ ({ budgets })), false);
  assert.deepEqual([project.level, project.what], ['bad', 'Budget of the project: $10.00 of $10.00 this month.']);
  assert.deepEqual([others.level, others.what], ['warn', 'Budgets near their limit:']);
  const shown = others.links.map(([text, href]) => [text.replace(/[\u2066-\u2069]/g, ''), href]);
  assert.deepEqual(shown, [
    ['alice ($8.50 of $10.00 this month)', '#/users/4b0e'],
    ['shop (90 of 100 minutes this month)', '#/users/77aa'],
  ]);
});

test('the most refused users are named with a link to their refusals', () => {
  const most = [
    { actor: 'live-broker:alice', refusals: 1120 },
    { actor: 'https://id.example:bob', refusals: 40 },
    { actor: 'live-broker:carol', refusals: 2 },
  ];
  const [{ links }] = attentionOf(overview({ most }), false);
  assert.deepEqual(
    links.map(([text]) => text),
    ['alice (1,120)', 'https://id.example:bob (40)'],
  );
  assert.match(links[0][1], /actor=live-broker%3Aalice/);
});

test('a code keeps its colour and pattern whatever else was refused, and no two are the same', () => {
  const alone = seriesOf([{ refusals: { busy: 1 } }], { busy: 1 }, () => '');
  const among = seriesOf([{ refusals: { busy: 1, 'rate-limited': 900 } }], { busy: 1, 'rate-limited': 900 }, () => '');
  assert.equal(alone[0].tone, among.find(({ name }) => name === 'busy')?.tone);
  const looks = CODES.map((code) => JSON.stringify(look(toneOf(code))));
  assert.equal(new Set(looks).size, CODES.length);
  for (const [index, one] of CODES.slice(1).entries())
    assert.notEqual(look(toneOf(one)).hatching, look(toneOf(CODES[index])).hatching, `${one} and the code before it`);
  const [series] = seriesOf(
    [{ refusals: { 'bad-json': 2, 'too-large': 1 } }],
    { 'bad-json': 2, 'too-large': 1 },
    () => '',
  );
  assert.deepEqual([series.name, series.tone, series.values], ['others', REST, [3]]);
});

test('cells of a CSV file start no formula, and texts stay whole', () => {
  const rows = [
    { name: '=1+1', limits: { plan: 'team', rate: null }, roles: ['a', 'b'], note: 'a "b", c\nd' },
    { name: '@x', limits: null, roles: [], note: '-2' },
    { name: '+4', roles: [], note: 'Zoë – ok' },
  ];
  assert.equal(
    toCsv(rows),
    '\uFEFFname,limits.plan,limits.rate,roles,note\r\n' +
      '\'=1+1,team,,a b,"a ""b"", c\nd"\r\n' +
      "'@x,,,,'-2\r\n" +
      "'+4,,,,Zoë – ok\r\n",
  );
});
