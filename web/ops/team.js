/**
 * One team: its limits, and what its members use together. limits.js edits the limits.
 */
import { h } from './build.js';
import { ErrorBox } from './error-box.js';
import { count } from './format.js';
import { LimitsEditor } from './limits.js';
import { factRows, usedOf } from './parts.js';
import { costOf } from './teams.js';

/** @typedef {import('./api.js').Team} Team */

/** @param {import('./view.js').ViewContext} context @param {string} name @returns {import('./view.js').View} */
export function teamView(context, name) {
  const { api } = context;
  const lifetime = new AbortController();
  const errorBox = new ErrorBox(context);
  const today = h('dl', { class: 'facts' });
  const month = h('dl', { class: 'facts' });
  const editor = new LimitsEditor(
    context,
    /** @type {import('./limits.js').Terms<Team>} */ ({
      names: ['rate', 'sessions', 'minutes_per_day', 'budget_per_day', 'budget_per_month', 'minutes_per_month'],
      inherited: 'from broker.toml',
      rule: ({ rule }) => rule,
      usual: (team, limit) => [team.settings[/** @type {keyof Team['settings']} */ (limit)], 'broker.toml'],
      load: () => api.team(name),
      save: ({ version }, changes) =>
        api.setTeamLimits(name, version, /** @type {import('./api.js').SharedLimits} */ (changes)),
      audited: () => ({ issuer: 'live-broker:team', subject: name }),
      saved: () => void load(),
    }),
  );

  /** @param {Team} team */
  function show(team) {
    const { limits } = team;
    today.replaceChildren(
      ...factRows([
        ['Members', count(team.members)],
        ['Open sessions', usedOf(team.open_sessions, limits.sessions)],
        ['Minutes charged', usedOf(team.minutes_today, limits.minutes_per_day)],
        ['Cost', costOf(team, 'day')],
      ]),
    );
    month.replaceChildren(
      ...factRows([
        ['Minutes charged', usedOf(team.minutes_month, limits.minutes_per_month)],
        ['Cost', costOf(team, 'month')],
      ]),
    );
    editor.show(team);
  }

  async function load() {
    try {
      show(await api.team(name, lifetime.signal));
      errorBox.clear();
    } catch (error) {
      if (!lifetime.signal.aborted) errorBox.show(error, () => void load());
    }
  }

  return {
    title: `Team ${name}`,
    element: h(
      'div',
      {},
      h('p', { class: 'back' }, h('a', { href: '#/teams' }, 'All teams')),
      h('div', { class: 'heading' }, h('h1', { tabindex: -1 }, name)),
      errorBox.element,
      h(
        'div',
        { class: 'columns' },
        h('section', { class: 'card', 'aria-label': 'Today' }, h('h2', {}, 'Today'), today),
        h('section', { class: 'card', 'aria-label': 'This month' }, h('h2', {}, 'This month'), month),
      ),
      h('section', { class: 'card', 'aria-label': 'Limits' }, h('h2', {}, 'Limits'), editor.element),
    ),
    refresh: () => void load(),
    close: () => lifetime.abort(),
  };
}
