/**
 * The state of the broker: what needs attention, current figures, and charts for the last hour, day or week.
 * All figures of a range come from one answer, so a tile and a chart never differ.
 */
import { AttentionStrip, auditHref } from './attention.js';
import { button, h } from './build.js';
import { BarList } from './charts/bars.js';
import { TimeChart } from './charts/time-chart.js';
import { seriesOf } from './codes.js';
import { exportFigures } from './csv-export.js';
import { ErrorBox } from './error-box.js';
import { exportUsage } from './export-usage.js';
import { count, counted, milliseconds, money } from './format.js';
import { heading, person } from './parts.js';
import { Poll } from './poll.js';
import { figuresOf, spendingList } from './spending.js';

/** @typedef {import('./api.js').Usage} Usage */
/** @typedef {import('./api.js').Overview} Overview */
/** @typedef {import('./api.js').Range} Range */
/** @typedef {import('./api.js').Point} Point */

const EVERY_MS = 15_000;
const DAY_MS = 86_400_000;
/** @type {Record<Range, string>} */
const RANGES = { hour: 'Last hour', day: 'Last day', week: 'Last week' };

/** The range that was chosen, kept while other views are open. @type {{range: Range | null}} */
const last = { range: null };

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function overviewView(context) {
  const errorBox = new ErrorBox(context);
  const attention = new AttentionStrip();
  const tiles = h('dl', { class: 'tiles' });
  const totals = h('p', { class: 'quiet totals' });
  /** @param {Record<string, string>} filters */
  const toAudit = (filters) => ({
    opens: 'these entries in the audit trail',
    open: (/** @type {Date} */ from, /** @type {Date} */ to) =>
      context.navigate(auditHref({ ...filters, since: stamp(from), until: stamp(to) }).slice(1)),
  });
  const open = new TimeChart('Open sessions', 'at once; the last point is now');
  const refusals = new TimeChart('Refusals', 'by code', toAudit({}));
  const tokens = new TimeChart('Tokens', 'issued', toAudit({ kind: '', action: 'token', outcome: 'ok' }));
  const answers = new TimeChart('Answer delay', 'end of speech to sound, as clients report it');
  const mints = new TimeChart('Mint time', 'how long Google took for a token');
  const heads = /** @type {const} */ (['User', 'Talked', 'Charged', 'Cost']);
  const minutes = new BarList('Minutes by user', 'talked, as part of charged', [...heads], count);
  const spenders = [
    spendingList(context, 'Cost this month by user', 'user'),
    spendingList(context, 'Cost this month by team', 'team'),
  ];
  let isNew = true;
  const charts = [open, refusals, tokens, answers, mints];
  let range = last.range;
  /** @type {Usage | null} */
  let shown = null;

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
          checked: value === range,
          onchange: () => {
            last.range = range = /** @type {Range} */ (value);
            poll.now();
          },
        }),
        h('span', {}, label),
      ),
    ),
  );

  async function load(/** @type {AbortSignal} */ signal) {
    const asked = Promise.all([context.api.overview(signal), context.api.suspension(signal)]);
    range ??= choose((await asked)[0]);
    const [[now, { suspended }], usage] = await Promise.all([asked, context.api.usage(range, signal)]);
    errorBox.clear();
    shown = usage;
    attention.show(now, suspended);
    showTiles(now, usage);
    showCharts(now, usage);
    totals.textContent = summary(usage);
    // Only on entering and on request: the list is for reading, and more of it may be open.
    if (isNew) for (const list of spenders) list.show(now.spending);
    isNew = false;
  }

  /** A day with one hour of data is a nearly empty chart. @param {Overview} overview @returns {Range} */
  function choose({ now, first_session_at: first }) {
    const found = first && Date.parse(now) - Date.parse(first) >= DAY_MS ? 'day' : 'hour';
    const radio = choice.querySelector(`[value=${found}]`);
    if (radio instanceof HTMLInputElement) radio.checked = true;
    return found;
  }

  /** @param {Overview} overview @param {Usage} usage */
  function showTiles({ project: { sessions }, spending }, { range: name, from, currency, totals: sums }) {
    const during = RANGES[name].toLowerCase();
    const { p50, p95 } = sums.speech_end_to_audio_ms ?? { p50: null, p95: null };
    const fresh = h(
      'dl',
      {},
      tile('Open sessions', count(sessions.open), `of ${count(sessions.limit)}`, {
        href: '#/sessions',
        share: sessions.open / sessions.limit,
      }),
      tile(`Refusals, ${during}`, count(sum(sums.refusals)), '', { href: auditHref({ since: from }) }),
      tile(`Tokens, ${during}`, count(sums.tokens), '', {
        href: auditHref({ kind: '', action: 'token', outcome: 'ok', since: from }),
      }),
      tile(`Minutes charged, ${during}`, count(sums.charged_minutes), `${count(sums.minutes)} talked`, {
        href: '#/users?sort=minutes',
      }),
      tile(`Cost, ${during}`, money(sums.cost, currency), ''),
      tile(`Answer delay, ${during}`, milliseconds(p50), p95 === null ? 'no reports' : `p95 ${milliseconds(p95)}`),
      ...figuresOf(spending).map(({ name: title, value, beside, share }) =>
        tile(title, value, beside, share === undefined ? {} : { share }),
      ),
    );
    // Equal tiles stay, so that a link in them keeps the focus.
    if (!tiles.isEqualNode(withClass(fresh, 'tiles'))) tiles.replaceChildren(...fresh.childNodes);
  }

  /** @param {Overview} now @param {Usage} usage */
  function showCharts(now, usage) {
    const { points, step_seconds: step } = usage;
    const times = { from: Date.parse(points[0]?.at ?? usage.from), stepMs: step * 1000, count: points.length };
    /** @param {(point: Point) => import('./api.js').Percentiles | null} of @param {('p50' | 'p95' | 'p99')[]} names */
    const percentiles = (of, ...names) =>
      names.map((name, tone) => ({ name, tone, values: points.map((point) => of(point)?.[name] ?? null) }));
    const places = points.map((point) => point.open_sessions);
    // The newest step shows the same number as the tile.
    places.splice(-1, 1, now.project.sessions.open);
    open.show({ kind: 'lines', times, format: count, series: [{ name: 'Open sessions', tone: 0, values: places }] });
    const hrefOf = (/** @type {string} */ code) => auditHref({ since: usage.from, ...(code ? { outcome: code } : {}) });
    refusals.show({ kind: 'columns', times, format: count, series: seriesOf(points, usage.totals.refusals, hrefOf) });
    tokens.show({
      kind: 'columns',
      times,
      format: count,
      series: [{ name: 'Tokens', tone: 0, values: points.map((point) => point.tokens) }],
    });
    answers.show({
      kind: 'lines',
      times,
      format: milliseconds,
      series: percentiles((point) => point.speech_end_to_audio_ms, 'p50', 'p95'),
    });
    mints.show({
      kind: 'lines',
      times,
      format: milliseconds,
      series: percentiles((point) => point.mint_ms, 'p50', 'p95', 'p99'),
    });
    minutes.show(
      usage.minutes_by_user.map((one) => ({
        key: one.key,
        label: person(one),
        value: one.minutes,
        whole: one.charged_minutes,
        cost: money(one.cost, usage.currency),
      })),
    );
  }

  const poll = new Poll(EVERY_MS, load, (error) => errorBox.show(error, () => poll.now()));
  return {
    title: 'Overview',
    element: h(
      'div',
      {},
      heading(
        'Overview',
        choice,
        button('Export CSV', () => shown && exportFigures(shown), { title: 'The figures of this range' }),
        button('Export usage', () => void exportUsage(context), { title: 'By user, key, profile, model or day' }),
        button('Suspend new tokens', context.suspend),
      ),
      errorBox.element,
      attention.element,
      tiles,
      totals,
      h('div', { class: 'charts' }, ...charts.map(({ element }) => element), minutes.element),
      ...spenders.map(({ element }) => element),
    ),
    refresh() {
      isNew = true;
      poll.now();
    },
    close() {
      for (const list of spenders) list.close();
      poll.close();
      for (const chart of charts) chart.close();
    },
  };
}

/**
 * @param {string} name @param {string} value @param {string} beside
 * @param {{href?: string, share?: number}} [more]  `share`: 0 to 1, drawn as a bar
 */
function tile(name, value, beside, { href, share } = {}) {
  return h(
    'div',
    { class: 'tile card', 'data-full': share !== undefined && share >= 1 },
    h('dt', {}, href ? h('a', { href }, name) : name),
    h(
      'dd',
      {},
      h('strong', {}, value),
      ' ',
      h('span', { class: 'quiet' }, beside),
      share !== undefined &&
        h('meter', {
          min: 0,
          max: 1,
          low: 0.8,
          high: 0.999,
          optimum: 0,
          value: Math.min(1, share),
          'aria-label': `${name}: share used`,
        }),
    ),
  );
}

/** @template {Element} E @param {E} element @param {string} name @returns {E} */
function withClass(element, name) {
  element.className = name;
  return element;
}

/** RFC 3339 in whole seconds. @param {Date} moment */
const stamp = (moment) => `${moment.toISOString().slice(0, 19)}Z`;

/** @param {Record<string, number>} counts */
const sum = (counts) => Object.values(counts).reduce((total, one) => total + one, 0);

/** @param {Usage['totals']} totals */
function costNote({ cost, unpriced_sessions: unpriced, implausible_reports: implausible }) {
  const notes = [
    cost !== null && unpriced > 0 && `The cost leaves out ${counted(unpriced, 'session')} of unknown price.`,
    implausible > 0 && `${counted(implausible, 'session')} reported token counts that cannot be true.`,
  ];
  return notes.filter(Boolean).join(' ');
}

/** What the tiles do not say. @param {Usage} usage */
function summary({ range, totals }) {
  const mint = totals.mint_ms
    ? `mint time p50 ${milliseconds(totals.mint_ms.p50)}, p95 ${milliseconds(totals.mint_ms.p95)}; `
    : '';
  const gaps = `${counted(totals.underruns, 'gap')} in playback`;
  const given = 'Unused charged minutes are given back when a session ends.';
  return `${RANGES[range]}: ${mint}${gaps}. ${given} ${costNote(totals)}`.trim();
}
