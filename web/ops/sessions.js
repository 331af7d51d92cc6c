/**
 * The live sessions: a list that refreshes itself, a filter, and a button to end each session.
 */
import { button, h } from './build.js';
import { endSession } from './end-session.js';
import { ErrorBox } from './error-box.js';
import { field } from './form.js';
import { ago, counted, left, timeOf } from './format.js';
import { badge, heading, person } from './parts.js';
import { Poll } from './poll.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').Session} Session */

const EVERY_MS = 5000;
const PAGE = 100;

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
      placeholder: 'User, profile, model or ID',
      oninput: () => show(),
    }),
  );
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

  const table = new Table(
    'Live sessions',
    /** @type {import('./table.js').Column<Session>[]} */ ([
      { head: 'User', cell: (one) => person(one) },
      { head: 'Profile', cell: ({ profile }) => profile },
      { head: 'Model', cell: ({ model }) => model.replace('models/', '') },
      { head: 'Started', cell: ({ opened_at: at }) => timeOf(at) },
      { head: 'Ends in', kind: 'number', cell: ({ ends_at: at, state }) => (state === 'open' ? left(at, now()) : '–') },
      { head: 'Last heartbeat', cell: ({ heartbeat_at: at }) => (at ? ago(at, now()) : 'none yet') },
      { head: 'Actions', kind: 'actions', cell: (one) => (one.state === 'open' ? endButton(one) : badge('Ended')) },
    ]),
    ({ id }) => id,
    'No live sessions.',
  );

  /** @param {Session} one */
  function endButton(one) {
    return button(
      'End',
      () =>
        void endSession(context, one).then((ended) => {
          if (ended) poll.now();
        }),
      { 'aria-label': `End the session of ${one.name || one.subject}`, 'data-session': one.id },
    );
  }

  function show() {
    const wanted = filter.control.value.trim().toLowerCase();
    const shown = sessions.filter((one) =>
      `${one.name}\n${one.subject}\n${one.profile}\n${one.model}\n${one.id}`.toLowerCase().includes(wanted),
    );
    table.show(shown);
    summary.textContent = wanted
      ? `${counted(shown.length, 'session')} of ${sessions.length}`
      : counted(sessions.length, 'session');
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
    if (focusedRow && !rows.some(({ id }) => id === focusedRow.id)) rows.unshift({ ...focusedRow, state: 'ended' });
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
      h('div', { class: 'filters' }, filter.element),
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
