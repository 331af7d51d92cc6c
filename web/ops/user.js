/**
 * One person: their limits, their next token request, their sessions, and the actions on the account.
 * limits.js edits the limits.
 */
import { isolate } from '../common/dom.js';
import { button, h } from './build.js';
import { endSession } from './end-session.js';
import { ErrorBox } from './error-box.js';
import { count, counted, formatTime, milliseconds, timeOf } from './format.js';
import { LimitsEditor } from './limits.js';
import { badge, clientWords, factRows, issuerWords, Pages, ruleWords } from './parts.js';
import { Table } from './table.js';
import { blockUser, setPassword, setRole, setTeam, signOutUser, unblockUser } from './user-actions.js';
import { stateBadges } from './users.js';

/** @typedef {import('./api.js').UserInFull} UserInFull */
/** @typedef {import('./api.js').Session} Session */

const SESSIONS = 10;
/** @type {Record<string, string>} */
const BUDGETS = {
  budget_per_day: 'Budget of the day',
  budget_per_month: 'Budget of the month',
  minutes_per_month: 'Minutes of the month',
};

/** @param {import('./view.js').ViewContext} context @param {string} key @returns {import('./view.js').View} */
export function userView(context, key) {
  const lifetime = new AbortController();
  const errorBox = new ErrorBox(context);
  const name = h('h1', { tabindex: -1 }, 'User');
  const state = h('div', { class: 'heading-tools' });
  const facts = h('dl', { class: 'facts' });
  const next = h('div', { class: 'next', role: 'status' });
  const actions = h('div', { class: 'actions' });
  const limits = h('div', {});
  /** @type {LimitsEditor<import('./api.js').User> | null} */
  let editor = null;

  const table = new Table(
    'Sessions of this user',
    /** @type {import('./table.js').Column<Session>[]} */ ([
      { head: 'Started', cell: ({ opened_at: at }) => timeOf(at) },
      { head: 'State', cell: ({ state: is }) => badge(is, is === 'open' ? 'good' : 'plain') },
      { head: 'Profile', cell: ({ profile }) => profile },
      { head: 'Charged', kind: 'number', cell: ({ seconds }) => `${count(Math.ceil(seconds / 60))} min` },
      { head: 'Ended', cell: ({ ended_at: at }) => timeOf(at) },
      { head: 'Client', cell: ({ client }) => clientWords(client) },
      { head: 'Answer delay', kind: 'number', cell: ({ report }) => milliseconds(answerDelay(report)) },
      { head: 'Report', cell: ({ report }) => (report ? listValues(report) : '–') },
      {
        head: 'Actions',
        kind: 'actions',
        cell: (one) =>
          one.state === 'open'
            ? button('End', () => void endSession(context, one).then((ended) => ended && refresh()), {
                'aria-label': `End the session started at ${formatTime(one.opened_at)}`,
              })
            : '',
      },
    ]),
    ({ id }) => id,
    'No sessions yet.',
  );
  const sessions = new Pages(
    (cursor, signal) => context.api.sessions({ state: 'all', user: key, limit: SESSIONS, cursor }, signal),
    (rows) => table.show(rows),
    (error) => errorBox.show(error, refresh),
  );

  /** @param {UserInFull} user */
  function show(user) {
    name.textContent = user.name || user.subject;
    document.title = `${name.textContent} · Live Broker`;
    state.replaceChildren(stateBadges(user));
    facts.replaceChildren(
      ...factRows([
        ['Signs in with', issuerWords(user.issuer)],
        ['Subject', user.subject],
        ['Team', user.team && h('a', { href: `#/teams/${user.team}` }, user.team)],
        ['Added', timeOf(user.created_at)],
        ['Open sessions', `${count(user.open_sessions)} of ${count(user.limits.sessions)}`],
        ['Minutes charged today', `${count(user.minutes_today)} of ${count(user.limits.minutes_per_day)}`],
        ...user.next_token.budgets.map(
          ({ policy, used, limit, currency, resets_at: until }) =>
            /** @type {[string, string]} */ ([
              BUDGETS[policy],
              `${used} of ${limit} ${currency ?? 'minutes'} used, until ${formatTime(until)}`,
            ]),
        ),
        [
          'Blocked',
          user.blocked &&
            h('span', {}, timeOf(user.blocked.at), user.blocked.reason ? `: ${isolate(user.blocked.reason)}` : ''),
        ],
      ]),
    );
    showNextToken(user.next_token);
    editor?.show(user);
    showActions(user);
  }

  /** @param {import('./api.js').NextToken} token */
  function showNextToken(token) {
    const granted = token.answer === 'granted';
    next.replaceChildren(
      h(
        'p',
        {},
        badge(granted ? 'Granted' : token.answer, granted ? 'good' : 'bad'),
        ' ',
        granted ? `with the profile ${token.profile}` : token.detail,
      ),
      h(
        'p',
        { class: 'quiet' },
        `Rule: ${ruleWords(token.rule)}. Remaining: `,
        token.left.map(({ policy, remaining }) => `${count(remaining)} of ${policy}`).join(', ') || 'no rate limit',
        '.',
      ),
    );
  }

  /**
   * @param {string} text @param {(context: import('./view.js').ViewContext, user: UserInFull) => Promise<boolean>} run
   * @param {UserInFull} user @param {import('./build.js').Attributes} [attributes]
   */
  const action = (text, run, user, attributes) =>
    button(text, () => void run(context, user).then((done) => done && refresh()), attributes);

  /** @param {UserInFull} user */
  function showActions(user) {
    const had = actions.contains(document.activeElement);
    actions.replaceChildren(
      user.blocked
        ? action('Unblock', unblockUser, user)
        : action('Block', blockUser, user, { class: 'button small danger' }),
      action('Sign out everywhere', signOutUser, user),
      ...(user.own
        ? [
            action('Set password', setPassword, user),
            action('Set team', setTeam, user),
            action(user.roles.includes('operator') ? 'Remove operator role' : 'Make operator', setRole, user),
          ]
        : []),
    );
    if (had) actions.querySelector('button')?.focus();
  }

  async function load() {
    try {
      if (!editor) {
        const { plans } = await context.api.overview(lifetime.signal);
        editor = new LimitsEditor(
          context,
          limitTerms(context, plans, refresh),
          plans.map((plan) => plan.name),
        );
        limits.replaceChildren(editor.element);
      }
      show(await context.api.user(key, lifetime.signal));
      errorBox.clear();
    } catch (error) {
      if (!lifetime.signal.aborted) errorBox.show(error, refresh);
    }
  }

  function refresh() {
    void load();
    void sessions.restart();
  }

  return {
    title: 'User',
    element: h(
      'div',
      {},
      h('p', { class: 'back' }, h('a', { href: '#/users' }, 'All users')),
      h('div', { class: 'heading' }, name, state),
      errorBox.element,
      h(
        'div',
        { class: 'columns' },
        h('section', { class: 'card', 'aria-label': 'About' }, h('h2', {}, 'About'), facts, actions),
        h('section', { class: 'card', 'aria-label': 'Next token request' }, h('h2', {}, 'Next token request'), next),
      ),
      h('section', { class: 'card', 'aria-label': 'Limits' }, h('h2', {}, 'Limits'), limits),
      h('section', { 'aria-label': 'Sessions' }, h('h2', {}, 'Sessions'), table.element, sessions.element),
    ),
    refresh,
    close() {
      lifetime.abort();
      sessions.close();
    },
  };
}

/**
 * A user's limits come from the plan that is selected in the form.
 * @param {import('./view.js').ViewContext} context @param {import('./api.js').Plan[]} plans @param {() => void} saved
 * @returns {import('./limits.js').Terms<import('./api.js').User>}
 */
function limitTerms({ api }, plans, saved) {
  return {
    names: [
      'plan',
      'rate',
      'sessions',
      'minutes_per_day',
      'session_minutes',
      'budget_per_day',
      'budget_per_month',
      'minutes_per_month',
    ],
    inherited: 'from the plan',
    rule: ({ limits }) => limits.rule,
    usual(user, name, chosen) {
      if (name === 'plan') return [user.plan, 'from sign-in'];
      const plan = typeof chosen === 'string' ? chosen : user.plan;
      return [plans.find((one) => one.name === plan)?.[name] ?? user.limits[name], `plan ${plan}`];
    },
    load: ({ key }) => api.user(key),
    save: ({ key, version }, changes) =>
      api.setLimits(key, version, /** @type {import('./api.js').Overrides} */ (changes)),
    audited: (user) => user,
    saved,
  };
}

/** @param {Session['report']} report */
function answerDelay(report) {
  const delay = report?.speech_end_to_audio_ms;
  return typeof delay === 'number' ? delay : null;
}

/** A flat map from a client, as text. @param {Record<string, unknown>} map */
function listValues(map) {
  const entries = Object.entries(map).filter(([, value]) => value !== null);
  if (entries.length === 0) return '–';
  const text = entries.map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`);
  if (text.length <= 3) return text.join(', ');
  return h(
    'details',
    {},
    h('summary', {}, counted(entries.length, 'value')),
    h('ul', { class: 'plain' }, ...text.map((one) => h('li', {}, one))),
  );
}
