/**
 * The state of the broker: current figures, and charts for the last hour, day or week.
 */
import { button, h } from './build.js';
import { BarList } from './charts/bars.js';
import { TimeChart } from './charts/time-chart.js';
import { ErrorBox } from './error-box.js';
import { count, counted, milliseconds } from './format.js';
import { heading, person } from './parts.js';
import { Poll } from './poll.js';

/** @typedef {import('./api.js').Usage} Usage */
/** @typedef {import('./api.js').Range} Range */
/** @typedef {import('./charts/plot.js').Series} Series */

const EVERY_MS = 15_000;
/** The most codes with a colour of their own. The rest share one. */
const MOST_CODES = 5;
/** @type {Record<Range, string>} */
const RANGES = { hour: 'Last hour', day: 'Last day', week: 'Last week' };

/** The range, kept while other views are open. @type {{range: Range}} */
const last = { range: 'day' };

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function overviewView(context) {
  const errorBox = new ErrorBox(context);
  const tiles = h('dl', { class: 'tiles' });
  const totals = h('p', { class: 'quiet totals' });
  const tokens = new TimeChart('Tokens', 'issued');
  const refusals = new TimeChart('Refusals', 'by code');
  const latency = new TimeChart('Mint time', 'milliseconds');
  const open = new TimeChart('Open sessions', 'at once');
  const minutes = new BarList('Minutes by user', 'minutes', 'User', count);
  const charts = [tokens, refusals, latency, open];

  const choice = h(
    'fieldset',
    { class: 'range' },
    h('legend', { class: 'visually-hidden' }, 'Time'),
    ...Object.entries(RANGES).map(([value, label]) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name: 'range',
          value,
          checked: value === last.range,
          onchange: () => {
            last.range = /** @type {Range} */ (value);
            poll.now();
          },
        }),
        h('span', {}, label),
      ),
    ),
  );

  async function load(/** @type {AbortSignal} */ signal) {
    const [now, usage] = await Promise.all([context.api.overview(signal), context.api.usage(last.range, signal)]);
    errorBox.clear();
    showNow(now);
    showUsage(usage);
  }

  /** @param {import('./api.js').Overview} now */
  function showNow({ project: { sessions }, today }) {
    tiles.replaceChildren(
      tile('Open sessions', count(sessions.open), `of ${count(sessions.limit)}`, sessions.open / sessions.limit),
      tile('Tokens today', count(today.tokens)),
      tile('Refusals today', count(today.refusals)),
      tile('Minutes today', count(today.minutes)),
    );
  }

  /** @param {Usage} usage */
  function showUsage(usage) {
    const { points, step_seconds: step } = usage;
    const times = { from: Date.parse(points[0]?.at ?? usage.from), stepMs: step * 1000, count: points.length };
    tokens.show({
      kind: 'columns',
      times,
      format: count,
      series: [{ name: 'Tokens', tone: 0, values: points.map((one) => one.tokens) }],
    });
    refusals.show({ kind: 'columns', times, format: count, series: byCode(usage) });
    latency.show({
      kind: 'lines',
      times,
      format: milliseconds,
      series: /** @type {const} */ (['p50', 'p95', 'p99']).map((name, tone) => ({
        name,
        tone,
        values: points.map(({ mint_ms: ms }) => ms?.[name] ?? null),
      })),
    });
    open.show({
      kind: 'lines',
      times,
      format: count,
      series: [{ name: 'Open sessions', tone: 0, values: points.map((one) => one.open_sessions) }],
    });
    minutes.show(usage.minutes_by_user.map((one) => ({ key: one.key, label: person(one), value: one.minutes })));
    totals.textContent = summary(usage);
  }

  const poll = new Poll(EVERY_MS, load, (error) => errorBox.show(error, () => poll.now()));
  return {
    title: 'Overview',
    element: h(
      'div',
      {},
      heading('Overview', choice, button('Suspend new tokens', context.suspend)),
      errorBox.element,
      tiles,
      totals,
      h('div', { class: 'charts' }, ...charts.map(({ element }) => element), minutes.element),
    ),
    refresh: () => poll.now(),
    close() {
      poll.close();
      for (const chart of charts) chart.close();
    },
  };
}

/** @param {string} name @param {string} value @param {string} [beside] @param {number} [share]  0..1 */
function tile(name, value, beside = '', share) {
  return h(
    'div',
    { class: 'tile card' },
    h('dt', {}, name),
    h(
      'dd',
      {},
      h('strong', {}, value),
      ' ',
      h('span', { class: 'quiet' }, beside),
      share !== undefined &&
        h('meter', { min: 0, max: 1, high: 0.8, value: Math.min(1, share), 'aria-label': `${name}: share used` }),
    ),
  );
}

/** One series for each of the most frequent codes. @param {Usage} usage @returns {Series[]} */
function byCode({ points, totals: { refusals } }) {
  const codes = Object.entries(refusals)
    .sort(([, a], [, b]) => b - a)
    .map(([code]) => code);
  const named = codes.slice(0, codes.length > MOST_CODES + 1 ? MOST_CODES : MOST_CODES + 1);
  const others = codes.slice(named.length);
  const series = named.map((code, tone) => ({
    name: code,
    tone,
    values: points.map((one) => one.refusals[code] ?? 0),
  }));
  if (others.length > 0)
    series.push({
      name: 'others',
      tone: MOST_CODES,
      values: points.map((one) => others.reduce((sum, code) => sum + (one.refusals[code] ?? 0), 0)),
    });
  return series;
}

/** @param {Usage} usage */
function summary({ range, totals }) {
  const refused = Object.values(totals.refusals).reduce((sum, one) => sum + one, 0);
  const mint = totals.mint_ms
    ? `half within ${milliseconds(totals.mint_ms.p50)}, 95 % within ${milliseconds(totals.mint_ms.p95)}`
    : 'no mint times';
  const heard = totals.first_audio_ms ? `; first words heard after ${milliseconds(totals.first_audio_ms.p50)}` : '';
  return `${RANGES[range]}: ${counted(totals.tokens, 'token')}, ${mint}; ${counted(refused, 'refusal')}; ${counted(totals.minutes, 'minute')}${heard}; ${counted(totals.underruns, 'gap')} in playback.`;
}
