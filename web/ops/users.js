/**
 * The list of everyone who may talk or has talked: search, order, and what can be done to several at once.
 */
import { addUser } from './add-user.js';
import { button, h } from './build.js';
import { exportList } from './csv-export.js';
import { ErrorBox } from './error-box.js';
import { field, select } from './form.js';
import { counted } from './format.js';
import { badge, heading, ownLimits, Pages, person, usedOf } from './parts.js';
import { Search } from './search.js';
import { Selection } from './selection.js';
import { Table } from './table.js';
import { blockUsers, limitUsers, nameOf } from './user-actions.js';

/** @typedef {import('./api.js').User} User */

/** The last search, kept while a user page is open. */
const last = { query: '', state: 'all', sort: 'name' };

/** @param {import('./view.js').ViewContext} context @param {URLSearchParams} filters @returns {import('./view.js').View} */
export function usersView(context, filters) {
  for (const name of /** @type {const} */ (['query', 'state', 'sort'])) last[name] = filters.get(name) ?? last[name];
  const errorBox = new ErrorBox(context);
  const state = choice('Show', 'state', [
    ['all', 'All users'],
    ['blocked', 'Blocked only'],
  ]);
  const sort = choice('Sort by', 'sort', [
    ['name', 'Name'],
    ['minutes', 'Minutes charged'],
    ['sessions', 'Open sessions'],
  ]);
  const found = h('p', { class: 'quiet', role: 'status' });
  const search = new Search(
    'Users',
    refresh,
    {
      value: last.query,
      pattern: '[\\s\\S]{0,255}',
      title: 'At most 255 characters',
      placeholder: 'Name or subject',
    },
    state.element,
    sort.element,
    found,
  );

  /** @param {string} label @param {'state' | 'sort'} name @param {[string, string][]} choices */
  function choice(label, name, choices) {
    const made = field(label, select(name, choices, last[name]));
    made.control.addEventListener('change', () => void pages.restart());
    return made;
  }

  /** Loads the list again if something was changed. @param {Promise<boolean>} asking */
  async function reloaded(asking) {
    const done = await asking;
    if (done) await pages.restart();
    return done;
  }

  const selection = new Selection(
    (/** @type {User} */ { key }) => key,
    nameOf,
    [
      { text: 'Set limits', run: (users) => reloaded(limitUsers(context, users)) },
      {
        text: 'Block',
        danger: true,
        run: (users) => reloaded(blockUsers(context, users)),
      },
    ],
    () => table.show(pages.rows),
  );

  const table = new Table(
    'Users',
    /** @type {import('./table.js').Column<User>[]} */ ([
      { head: 'User', sort: 'name', cell: (one) => selection.cell(one, person(one)) },
      { head: 'Plan', cell: ({ limits }) => limits.plan },
      { head: 'Overrides', cell: ({ overrides }) => ownLimits(overrides) },
      {
        head: 'Open sessions',
        kind: 'number',
        sort: 'sessions',
        cell: ({ open_sessions: open, limits }) => usedOf(open, limits.sessions),
      },
      {
        head: 'Minutes charged today',
        kind: 'number',
        sort: 'minutes',
        cell: ({ minutes_today: used, limits }) => usedOf(used, limits.minutes_per_day),
      },
      { head: 'State', cell: (one) => (one.blocked || one.roles.length > 0 ? stateBadges(one) : '–') },
    ]),
    ({ key }) => key,
    'No users found.',
    (name) => {
      sort.control.value = name;
      void pages.restart();
    },
  );

  const asked = () => ({
    query: search.query,
    state: state.control.value,
    sort: sort.control.value,
  });
  const pages = new Pages(
    (cursor, signal) => context.api.users({ ...asked(), cursor }, signal),
    (rows, more) => {
      Object.assign(last, asked());
      errorBox.clear();
      selection.show(rows);
      table.showOrder(last.sort, last.sort === 'name' ? 'ascending' : 'descending');
      table.show(rows);
      found.textContent = `${more ? 'The first ' : ''}${counted(rows.length, 'person').replace('persons', 'people')}`;
    },
    (error) => errorBox.show(error, refresh),
  );

  function refresh() {
    void pages.restart();
  }

  return {
    title: 'Users',
    element: h(
      'div',
      {},
      heading(
        'Users',
        button('Export CSV', () =>
          exportList('users', (page) => context.api.users({ ...asked(), ...page })).then(context.announce, (error) =>
            errorBox.show(error),
          ),
        ),
        button('Add user', () => void addUser(context), { class: 'button small primary' }),
      ),
      search.element,
      selection.element,
      errorBox.element,
      table.element,
      pages.element,
    ),
    refresh,
    close() {
      search.close();
      pages.close();
    },
  };
}

/** @param {User} user */
export function stateBadges({ blocked, roles }) {
  return h(
    'span',
    { class: 'badges' },
    blocked && badge('Blocked', 'bad'),
    roles.includes('operator') && badge('Operator', 'own'),
  );
}
