/**
 * What is wrong now and what to do about it, from the figures of the last hour. It is quiet if nothing is wrong.
 */
import { isolate } from '../common/dom.js';
import { h } from './build.js';
import { count, counted } from './format.js';
import { ownerHref } from './parts.js';
import { amountOf, periodOf } from './spending.js';

/** @typedef {import('./api.js').Overview} Overview */
/** @typedef {import('./api.js').NearLimit} NearLimit */
/** @typedef {{level: 'bad' | 'warn' | 'note', what: string, advice: string, links: [text: string, href: string][]}} Item */

/** From here on, one user's refusals or failed sign-ins are worth a look. */
const MANY = 20;
const NEARLY_FULL = 0.8;
const LEVELS = { bad: 'Problem', warn: 'Warning', note: 'Note' };

/** The address of the audit trail with filters. @param {Record<string, string>} filters */
export const auditHref = (filters) => `#/audit?${new URLSearchParams({ kind: 'refusals', ...filters })}`;

/**
 * @param {Overview} overview
 * @param {boolean} suspended
 * @returns {Item[]} the most urgent first
 */
export function attentionOf(
  { now, project: { sessions }, last_hour: { refusals, most_refused: most }, budgets_near_limits: budgets },
  suspended,
) {
  const since = new Date(Date.parse(now) - 3_600_000).toISOString().slice(0, 19);
  const times = (/** @type {string[]} */ ...codes) => codes.reduce((sum, code) => sum + (refusals[code] ?? 0), 0);
  const refused = (/** @type {string[]} */ ...codes) =>
    `${counted(times(...codes), 'request')} refused in the last hour`;
  /** @type {(text: string, filters: Record<string, string>) => [string, string]} */
  const link = (text, filters) => [text, auditHref({ since: `${since}Z`, ...filters })];
  /** @type {(Item | false)[]} */
  const items = [
    placesItem(sessions, times('project-capacity'), link('Refusals', { outcome: 'project-capacity' })),
    ...budgetItems(budgets),
    suspended &&
      times('minting-suspended') > 0 && {
        level: 'bad',
        what: `${refused('minting-suspended')}: new tokens are suspended.`,
        advice: 'Resume when the reason no longer applies.',
        links: [link('Refusals', { outcome: 'minting-suspended' })],
      },
    times('upstream-rejected') > 0 && {
      level: 'bad',
      what: `Google rejected ${counted(times('upstream-rejected'), 'request')} in the last hour.`,
      advice: 'Run broker check on the server: it names a wrong key, model or clock.',
      links: [link('Errors', { outcome: 'upstream-rejected' })],
    },
    times('upstream-quota') > 0 && {
      level: 'bad',
      what: `Google’s quota was used up for ${counted(times('upstream-quota'), 'request')} in the last hour.`,
      advice: 'Ask Google for a higher quota, or lower the limits of your plans.',
      links: [link('Errors', { outcome: 'upstream-quota' })],
    },
    times('upstream-error', 'upstream-timeout') > 0 && {
      level: 'warn',
      what: `Google failed ${counted(times('upstream-error', 'upstream-timeout'), 'time')} in the last hour.`,
      advice: 'If this goes on, suspend new tokens until Google works again.',
      links: [
        ...(times('upstream-error') ? [link('Errors', { outcome: 'upstream-error' })] : []),
        ...(times('upstream-timeout') ? [link('Timeouts', { outcome: 'upstream-timeout' })] : []),
      ],
    },
    times('busy') > 0 && {
      level: 'warn',
      what: `${refused('busy')}: the broker was busy.`,
      advice: 'Raise BROKER_THREADS or WEB_CONCURRENCY.',
      links: [link('Refusals', { outcome: 'busy' })],
    },
    times('bad-login', 'login-throttled') >= MANY && {
      level: 'note',
      what: `${counted(times('bad-login', 'login-throttled'), 'failed sign-in')} in the last hour.`,
      advice: 'Someone may be guessing passwords. The broker slows them down.',
      links: [link('Failed sign-ins', { action: 'sign-in' })],
    },
    most.length > 0 &&
      most[0].refusals >= MANY && {
        level: 'note',
        what: 'Refused most in the last hour:',
        advice: 'Raise their limits, or block them.',
        links: most
          .filter(({ refusals: number }) => number >= MANY)
          .map(({ actor, refusals: number }) => link(`${nameOf(actor)} (${count(number)})`, { actor })),
      },
  ];
  const order = Object.keys(LEVELS);
  return /** @type {Item[]} */ (items.filter(Boolean)).sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}

/**
 * @param {{open: number, limit: number}} places @param {number} refused @param {[string, string]} link
 * @returns {Item | false}
 */
function placesItem({ open, limit }, refused, link) {
  const taken = `${count(open)} of ${count(limit)} places taken`;
  const told = refused > 0 ? `, ${counted(refused, 'request')} refused in the last hour` : '';
  const links = /** @type {[string, string][]} */ ([['Live sessions', '#/sessions'], ...(refused > 0 ? [link] : [])]);
  const advice = 'Raise sessions under [project] in broker.toml, or end sessions.';
  if (open >= limit) return { level: 'bad', what: `${taken}${told}.`, advice, links };
  if (refused > 0) return { level: 'warn', what: `${taken}${told}, when all were taken.`, advice, links };
  return (
    open >= NEARLY_FULL * limit && {
      level: 'warn',
      what: `${taken}.`,
      advice: 'When all are taken, new sessions are refused. Raise sessions under [project] in broker.toml.',
      links,
    }
  );
}

/** The project's budgets one by one, and those of users, keys and teams in one list. @param {NearLimit[]} budgets */
function budgetItems(budgets) {
  const of = (/** @type {boolean} */ ofProject) => budgets.filter(({ kind }) => (kind === 'project') === ofProject);
  const others = of(false);
  /** @type {Item[]} */
  const items = of(true).map((one) => ({
    level: one.percent >= 100 ? 'bad' : 'warn',
    what: `Budget of the project: ${amountOf(one)} this ${periodOf(one)}.`,
    advice: 'When it is used up, nobody gets a token. Raise the budget under [project] in broker.toml.',
    links: [],
  }));
  if (others.length > 0)
    items.push({
      level: 'warn',
      what: 'Budgets near their limit:',
      advice: 'Raise them, or calls end when they are used up.',
      links: others.map((one) => [
        `${isolate(one.name)} (${amountOf(one)} this ${periodOf(one)})`,
        ownerHref(one.kind === 'team', one.key, one.name),
      ]),
    });
  return items;
}

/** "live-broker:alice" is alice. @param {string} actor */
const nameOf = (actor) => isolate(actor.replace(/^live-broker:(?=[^:]+$)/, ''));

export class AttentionStrip {
  element = h('section', { class: 'attention', 'aria-label': 'Attention' });

  /** @param {Overview} overview @param {boolean} suspended */
  show(overview, suspended) {
    const items = attentionOf(overview, suspended);
    const fresh = h('div', {}, ...(items.length > 0 ? items.map(itemElement) : [quietElement(suspended)]));
    // An equal strip stays, so that a link in it keeps the focus.
    if (!this.element.firstChild?.isEqualNode(fresh)) this.element.replaceChildren(fresh);
  }
}

/** @param {Item} item */
function itemElement({ level, what, advice, links }) {
  return h(
    'p',
    { class: 'attention-item', 'data-level': level },
    h('span', { class: 'badge', 'data-tone': level }, LEVELS[level]),
    h(
      'span',
      {},
      h('strong', {}, what),
      ...links.flatMap(([text, href]) => [' ', h('a', { href }, text)]),
      h('span', { class: 'quiet' }, ` ${advice}`),
    ),
  );
}

/** @param {boolean} suspended */
const quietElement = (suspended) =>
  h('p', { class: 'attention-item quiet' }, `Nothing ${suspended ? 'else ' : ''}needs attention.`);
