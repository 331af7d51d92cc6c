/**
 * The list of teams: what their members use together, and what it costs.
 */
import { isolate } from '../common/dom.js';
import { h } from './build.js';
import { ErrorBox } from './error-box.js';
import { count, counted, money } from './format.js';
import { badge, heading, ownLimits, Pages, usedOf } from './parts.js';
import { Search } from './search.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').Team} Team */

/** The last search, kept while the page of a team is open. */
const last = { query: '' };

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function teamsView(context) {
  const errorBox = new ErrorBox(context);
  const found = h('p', { class: 'quiet', role: 'status' });
  const attributes = { value: last.query, maxlength: 64, placeholder: 'Name' };
  const search = new Search('Teams', refresh, attributes, found);

  const table = new Table(
    'Teams',
    /** @type {import('./table.js').Column<Team>[]} */ ([
      { head: 'Team', cell: ({ name }) => h('a', { href: `#/teams/${name}` }, isolate(name)) },
      { head: 'Members', kind: 'number', cell: ({ members }) => count(members) },
      {
        head: 'Open sessions',
        kind: 'number',
        cell: ({ open_sessions: open, limits }) => usedOf(open, limits.sessions),
      },
      {
        head: 'Minutes charged today',
        kind: 'number',
        cell: ({ minutes_today: used, limits }) => usedOf(used, limits.minutes_per_day),
      },
      { head: 'Cost today', kind: 'number', cell: (team) => costOf(team, 'day') },
      { head: 'Cost this month', kind: 'number', cell: (team) => costOf(team, 'month') },
      { head: 'Overrides', cell: ({ overrides }) => ownLimits(overrides) },
    ]),
    ({ name }) => name,
    'No teams found.',
  );
  const pages = new Pages(
    (cursor, signal) => context.api.teams({ query: search.query, cursor }, signal),
    (rows, more) => {
      last.query = search.query;
      errorBox.clear();
      table.show(rows);
      found.textContent = `${more ? 'The first ' : ''}${counted(rows.length, 'team')}`;
    },
    (error) => errorBox.show(error, refresh),
  );
  function refresh() {
    void pages.restart();
  }

  return {
    title: 'Teams',
    element: h('div', {}, heading('Teams'), search.element, errorBox.element, table.element, pages.element),
    refresh,
    close() {
      search.close();
      pages.close();
    },
  };
}

/** What a day or a month costs, against the budget if there is one. @param {Team} team @param {'day' | 'month'} period */
export function costOf({ cost_today: today, cost_month: month, currency, limits }, period) {
  const [cost, budget] = period === 'day' ? [today, limits.budget_per_day] : [month, limits.budget_per_month];
  if (cost === null) return '–';
  if (budget === null) return money(cost, currency);
  const text = `${money(cost, currency)} of ${money(budget, currency)}`;
  return Number(cost) >= Number(budget) ? badge(`${text}: limit reached`, 'warn') : text;
}
