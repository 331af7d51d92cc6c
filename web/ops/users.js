/**
 * The list of everyone who may talk or has talked: search, and adding a user of the broker's own.
 */
import { button, h } from './build.js';
import { openDialog } from './dialog.js';
import { ErrorBox } from './error-box.js';
import { checkboxes, field, select } from './form.js';
import { count, counted } from './format.js';
import { badge, heading, Pages, person } from './parts.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').User} User */

/** Long enough to type a word without a request in between. */
const TYPING_MS = 250;

/** The last search, kept while a user page is open. */
const last = { query: '', state: 'all' };

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function usersView(context) {
  const errorBox = new ErrorBox(context);
  const query = field(
    'Search',
    h('input', {
      type: 'search',
      name: 'query',
      value: last.query,
      autocomplete: 'off',
      spellcheck: 'false',
      maxlength: 255,
      placeholder: 'Name or subject',
      oninput: () => later(),
    }),
  );
  const state = field(
    'Show',
    select(
      'state',
      [
        ['all', 'All users'],
        ['blocked', 'Blocked only'],
      ],
      last.state,
    ),
  );
  state.control.addEventListener('change', () => void pages.restart());
  const found = h('p', { class: 'quiet', role: 'status' });
  let timer = 0;

  const table = new Table(
    'Users',
    /** @type {import('./table.js').Column<User>[]} */ ([
      { head: 'User', cell: (one) => person(one) },
      { head: 'Plan', cell: ({ limits }) => limits.plan },
      { head: 'Overrides', cell: ({ overrides }) => ownLimits(overrides) },
      {
        head: 'Open sessions',
        kind: 'number',
        cell: ({ open_sessions: open, limits }) => `${count(open)} of ${count(limits.sessions)}`,
      },
      {
        head: 'Minutes today',
        kind: 'number',
        cell: ({ minutes_today: used, limits }) => `${count(used)} of ${count(limits.minutes_per_day)}`,
      },
      { head: 'State', cell: (one) => (one.blocked || one.roles.length > 0 ? stateBadges(one) : '–') },
    ]),
    ({ key }) => key,
    'No users found.',
  );

  const pages = new Pages(
    (cursor, signal) =>
      context.api.users({ query: query.control.value.trim(), state: state.control.value, cursor }, signal),
    (rows, more) => {
      Object.assign(last, { query: query.control.value, state: state.control.value });
      errorBox.clear();
      table.show(rows);
      found.textContent = `${more ? 'The first ' : ''}${counted(rows.length, 'person').replace('persons', 'people')}`;
    },
    (error) => errorBox.show(error, () => void pages.restart()),
  );

  function later() {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => void pages.restart(), TYPING_MS);
  }

  return {
    title: 'Users',
    element: h(
      'div',
      {},
      heading(
        'Users',
        button('Add user', () => void addUser(context), { class: 'button small primary' }),
      ),
      h(
        'form',
        {
          class: 'filters',
          role: 'search',
          'aria-label': 'Users',
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            window.clearTimeout(timer);
            void pages.restart();
          },
        },
        query.element,
        state.element,
        found,
      ),
      errorBox.element,
      table.element,
      pages.element,
    ),
    refresh: () => void pages.restart(),
    close() {
      window.clearTimeout(timer);
      pages.close();
    },
  };
}

/** @param {import('./api.js').Overrides} overrides */
function ownLimits(overrides) {
  const own = Object.entries(overrides)
    .filter(([, value]) => value !== null)
    .map(([name]) => name.replaceAll('_', ' '));
  return own.length > 0 ? own.join(', ') : '–';
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

/** @param {import('./view.js').ViewContext} context */
async function addUser(context) {
  const { plans } = await context.api.overview().catch(() => ({ plans: [{ name: 'default' }] }));
  const fields = [
    field(
      'Username',
      h('input', {
        name: 'username',
        required: true,
        autocomplete: 'off',
        autocapitalize: 'none',
        spellcheck: 'false',
      }),
    ),
    field(
      'Password',
      h('input', { name: 'password', type: 'password', required: true, autocomplete: 'new-password' }),
      'You can set a new one at any time. Nobody can read it.',
    ),
    field(
      'Plan',
      select(
        'plan',
        plans.map(({ name }) => [name, name]),
        'default',
      ),
    ),
  ];
  let key = '';
  const done = await openDialog(context, {
    title: 'Add a user',
    body: [],
    fields,
    action: 'Add user',
    async act(form) {
      const text = (/** @type {string} */ name) => String(form.get(name) ?? '');
      const user = {
        username: text('username'),
        password: text('password'),
        plan: text('plan'),
        roles: form.getAll('roles').map(String),
      };
      ({ key } = await context.api.addUser(user));
      context.announce(`Added ${user.username}.`);
    },
    extra: checkboxes(
      'Roles',
      'roles',
      ['operator'],
      false,
      'Operators can see this page and change everything on it.',
    ),
  });
  if (done) context.navigate(`/users/${key}`);
}
