/**
 * The live sessions: a list that refreshes itself, with a filter and an order. Sessions can be ended one by one or
 * together. A session that has ended and still holds a place is in the list, with the moment that frees it.
 */
import { button, h } from './build.js';
import { endSession, endSessions, ownerOf } from './end-session.js';
import { ErrorBox } from './error-box.js';
import { field, select } from './form.js';
import { ago, counted, left, milliseconds, money, timeOf } from './format.js';
import { badge, clientWords, heading, modelName, person } from './parts.js';
import { Poll } from './poll.js';
import { Selection } from './selection.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').Session} Session */

const EVERY_MS = 5000;
const PAGE = 200;

/** Orders by name: the text for people, and the comparison. @type {Record<string, [string, (a: Session, b: Session) => number]>} */
const ORDERS = {
  started: ['Newest first', (a, b) => b.opened_at.localeCompare(a.opened_at)],
  user: ['User', (a, b) => ownerOf(a).localeCompare(ownerOf(b))],
  profile: ['Profile', (a, b) => a.profile.localeCompare(b.profile) || a.model.localeCompare(b.model)],
  ends: ['Ends first', (a, b) => a.ends_at.localeCompare(b.ends_at)],
  heartbeat: ['Longest silent', (a, b) => (a.heartbeat_at ?? '').localeCompare(b.heartbeat_at ?? '')],
};

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function sessionsView(context) {
  const errorBox = new ErrorBox(context);
  const summary = h('p', { class: 'quiet', id: 'sessions-summary' });
  const filter = field(
    'Filter',
    h('input', {
      type: 'search',
      name: 'filter',
      autocomplete: 'off',
      placeholder: 'User, profile, model, client or ID',
      oninput: () => show(),
    }),
  );
  const order = field(
    'Sort by',
    select(
      'order',
      Object.entries(ORDERS).map(([name, [text]]) => [name, text]),
      'started',
    ),
  );
  order.control.addEventListener('change', () => show());
  const more = button(
    'Show more',
    () => {
      pages += 1;
      poll.now();
    },
    { hidden: true },
  );
  let pages = 1;
  /** @type {Session[]} */
  let sessions = [];
  /** The broker's clock minus this device's clock. "Ends in" uses the broker's clock. */
  let aheadMs = 0;
  const now = () => Date.now() + aheadMs;
  /** @param {Session} one */
  const keyOf = ({ id }) => id;

  const selection = new Selection(
    keyOf,
    (/** @type {Session} */ one) => `the session of ${ownerOf(one)}`,
    [
      {
        text: 'End',
        danger: true,
        async run(rows) {
          const ended = await endSessions(context, rows);
          if (ended) poll.now();
          return ended;
        },
      },
    ],
    () => show(),
  );

  const table = new Table(
    'Live sessions',
    /** @type {import('./table.js').Column<Session>[]} */ ([
      {
        head: 'User',
        sort: 'user',
        cell: (one) => (one.state === 'open' ? selection.cell(one, person(one)) : person(one)),
      },
      { head: 'Profile', sort: 'profile', cell: ({ profile }) => h('span', { class: 'whole' }, profile) },
      { head: 'Model', cell: ({ model }) => modelName(model) },
      { head: 'Client', cell: ({ client, report }) => clientCell(client, report) },
      { head: 'Started', sort: 'started', cell: ({ opened_at: at }) => timeOf(at) },
      {
        head: 'Ends in',
        sort: 'ends',
        kind: 'number',
        cell: ({ ends_at: at, state }) => (state === 'open' ? left(at, now()) : '–'),
      },
      {
        head: 'Last heartbeat',
        sort: 'heartbeat',
        cell: ({ heartbeat_at: at }) => h('span', { class: 'whole' }, at ? ago(at, now()) : 'none yet'),
      },
      { head: 'Cost', kind: 'number', cell: costCell },
      { head: 'Actions', kind: 'actions', cell: (one) => (one.state === 'open' ? endButton(one) : endedBadge(one)) },
    ]),
    keyOf,
    'No live sessions.',
    (name) => {
      order.control.value = name;
      show();
    },
  );

  /** @param {Session} one */
  function endButton(one) {
    return button(
      'End',
      () =>
        void endSession(context, one).then((ended) => {
          if (ended) poll.now();
        }),
      { 'aria-label': `End the session of ${ownerOf(one)}`, 'data-session': one.id },
    );
  }

  /** @param {Session} one */
  function endedBadge({ state, held_until: until }) {
    const holds = Date.parse(until) > now();
    return h(
      'span',
      { class: 'person' },
      badge(state === 'reserved' ? 'Opening' : 'Ended'),
      holds && h('small', { class: 'quiet' }, `place free in ${left(until, now())}`),
    );
  }

  function show() {
    const wanted = filter.control.value.trim().toLowerCase();
    const [, compare] = ORDERS[order.control.value] ?? ORDERS.started;
    const shown = sessions
      .filter((one) =>
        [one.name, one.subject, one.profile, one.model, one.id, ...Object.values(one.client)]
          .join('\n')
          .toLowerCase()
          .includes(wanted),
      )
      .sort((a, b) => compare(a, b) || b.id.localeCompare(a.id)); // no row changes places between two refreshes
    selection.show(shown.filter(({ state }) => state === 'open'));
    table.showOrder(order.control.value, order.control.value === 'started' ? 'descending' : 'ascending');
    table.show(shown);
    const ended = shown.filter(({ state, held_until: until }) => state !== 'open' && Date.parse(until) > now()).length;
    summary.textContent =
      (wanted ? `${counted(shown.length, 'session')} of ${sessions.length}` : counted(shown.length, 'session')) +
      (ended > 0 ? `, ${ended} ended but still holding a place` : '');
  }

  async function load(/** @type {AbortSignal} */ signal) {
    const rows = /** @type {Session[]} */ ([]);
    let cursor = /** @type {string | null} */ (null);
    for (let page = 0; page < pages; page += 1) {
      const answer = await context.api.sessions({ state: 'open', limit: PAGE, cursor }, signal);
      rows.push(...answer.rows);
      cursor = answer.next;
      if (cursor === null) break;
    }
    // A row that has the focus stays, marked as ended.
    const focusedRow = sessions.find(({ id }) => id === table.focused);
    if (focusedRow && !rows.some(({ id }) => id === focusedRow.id))
      rows.unshift({ ...focusedRow, state: 'ended', held_until: focusedRow.opened_at });
    sessions = rows;
    more.hidden = cursor === null;
    errorBox.clear();
    show();
  }

  const poll = new Poll(EVERY_MS, load, (error) => errorBox.show(error, () => poll.now()));
  const ticker = window.setInterval(() => {
    if (!document.hidden && sessions.length > 0) show();
  }, 1000);
  void context.api.overview().then(
    ({ now: theirs }) => {
      aheadMs = Date.parse(theirs) - Date.now();
    },
    () => {},
  );

  return {
    title: 'Live sessions',
    element: h(
      'div',
      {},
      heading('Live sessions', summary),
      h('div', { class: 'filters' }, filter.element, order.element),
      selection.element,
      errorBox.element,
      table.element,
      h('p', { class: 'more' }, more),
    ),
    refresh: () => poll.now(),
    close() {
      poll.close();
      window.clearInterval(ticker);
    },
  };
}

/** @param {Session} session */
function costCell({ cost, report_problems: problems }) {
  return h(
    'span',
    { class: 'person' },
    cost ? h('span', { title: `${cost.amount} ${cost.currency}` }, money(cost.amount, cost.currency)) : 'unknown',
    problems.length > 0 && h('small', { class: 'quiet', title: problems.join(', ') }, 'report not believed'),
  );
}

/** @param {Session['client']} client @param {Session['report']} report */
function clientCell(client, report) {
  const { speech_end_to_audio_ms: delay, underruns: gaps } = /** @type {Record<string, number>} */ (report ?? {});
  const quality = [delay && `answer delay ${milliseconds(delay)}`, gaps && counted(gaps, 'gap')].filter(Boolean);
  return h(
    'span',
    { class: 'person' },
    clientWords(client),
    quality.length > 0 && h('small', { class: 'quiet' }, quality.join(', ')),
  );
}
