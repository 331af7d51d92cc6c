/**
 * Parts that several views share: headings, people, badges, and lists that load page by page.
 */
import { isolate } from '../common/dom.js';
import { button, h } from './build.js';
import { count } from './format.js';

/** @typedef {import('./build.js').Child} Child */

/** The view's heading. It gets the focus when the view opens. @param {string} title @param {...Child} beside */
export function heading(title, ...beside) {
  return h(
    'div',
    { class: 'heading' },
    h('h1', { tabindex: -1 }, title),
    h('div', { class: 'heading-tools' }, ...beside),
  );
}

const TEAM = 'live-broker:team';

/** The page of a user, a service key or a team. @param {boolean} isTeam @param {string} key @param {string} name of the team */
export const ownerHref = (isTeam, key, name) => (isTeam ? `#/teams/${name}` : `#/users/${key}`);

/** A person or a team by name, with the issuer if it is not the broker. @param {import('./api.js').Person} person @param {boolean} [linked] */
export function person({ key, issuer, subject, name }, linked = true) {
  return h(
    'span',
    { class: 'person' },
    linked
      ? h('a', { href: ownerHref(issuer === TEAM, key, subject), title: subject }, isolate(name || subject))
      : h('span', { title: subject }, isolate(name || subject)),
    issuer === 'live-broker'
      ? ''
      : h('small', { class: 'quiet' }, issuerWords(issuer), name && name !== subject ? ` · ${isolate(subject)}` : ''),
  );
}

/** @type {Record<string, string>} */
const OURS = {
  'live-broker': 'broker user',
  'live-broker:key': 'service key',
  'live-broker:guest': 'guest',
  [TEAM]: 'team',
};

/** @param {string} issuer */
export function issuerWords(issuer) {
  if (issuer.startsWith('live-broker:key:'))
    return `user of the key ${isolate(issuer.slice('live-broker:key:'.length))}`;
  return OURS[issuer] ?? issuer.replace(/^https:\/\//, '');
}

/** The name of a model without what all have in common. @param {string} model */
export function modelName(model) {
  const [, name, preview = ''] = /^(?:models\/)?(.*?)(?:-(preview.*))?$/.exec(model) ?? ['', model];
  return h(
    'span',
    { class: 'person', title: model },
    h('span', { class: 'model' }, name),
    preview && h('small', { class: 'quiet' }, preview),
  );
}

/**
 * What a client said about itself. Never trust it.
 * @param {Record<string, unknown>} client
 */
export function clientWords({ app, version, platform }) {
  const named = [app, version].filter(Boolean).join(' ');
  return named || platform
    ? h(
        'span',
        { class: 'person' },
        h('span', {}, named || String(platform)),
        named && platform ? h('small', { class: 'quiet' }, String(platform)) : '',
      )
    : '–';
}

/** "own rate, sessions; plan team" is "override of rate, sessions; otherwise plan team". @param {string} rule */
export function ruleWords(rule) {
  return rule
    .replace(/(^|; )default$/, '$1plan default')
    .replace(/^own (.*); /, 'override of $1; otherwise ')
    .replaceAll('_', ' ');
}

/** @param {string} text @param {'plain' | 'bad' | 'own' | 'good' | 'warn'} [tone] */
export const badge = (text, tone = 'plain') => h('span', { class: 'badge', 'data-tone': tone }, text);

/** "60 of 60", marked if nothing is left. @param {number} used @param {number | null} limit  null: no limit */
export function usedOf(used, limit) {
  if (limit === null) return count(used);
  const text = `${count(used)} of ${count(limit)}`;
  return used >= limit ? badge(`${text}: limit reached`, 'warn') : text;
}

/** The limits that an operator has set. @param {Record<string, unknown>} overrides */
export function ownLimits(overrides) {
  const own = Object.entries(overrides)
    .filter(([, value]) => value !== null)
    .map(([name]) => name.replaceAll('_', ' '));
  return own.length > 0 ? own.join(', ') : '–';
}

/** Facts without those that are null. @param {[string, Child][]} entries */
export function factRows(entries) {
  return entries
    .filter(([, value]) => value !== null)
    .map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value)));
}

/**
 * Rows that load page by page, with a button for the next page.
 * @template T
 */
export class Pages {
  /** @type {T[]} */
  rows = [];
  element = h('p', { class: 'more' });
  #next = /** @type {string | null} */ (null);
  #load;
  #show;
  #failed;
  #more = button('Show more', () => void this.#fetch());
  /** A newer request cancels older ones. */
  #asked = new AbortController();

  /**
   * @param {(cursor: string | null, signal: AbortSignal) => Promise<import('./api.js').Page<T>>} load
   * @param {(rows: T[], more: boolean) => void} show
   * @param {(error: unknown) => void} failed
   */
  constructor(load, show, failed) {
    this.#load = load;
    this.#show = show;
    this.#failed = failed;
    this.element.append(this.#more);
    this.#more.hidden = true;
  }

  /** Loads the first page again. @returns {Promise<void>} */
  restart() {
    this.#next = null;
    return this.#fetch(true);
  }

  close() {
    this.#asked.abort();
  }

  async #fetch(fresh = false) {
    this.#asked.abort();
    const mine = new AbortController();
    this.#asked = mine;
    try {
      const { rows, next } = await this.#load(this.#next, mine.signal);
      if (mine.signal.aborted) return;
      this.rows = fresh ? rows : [...this.rows, ...rows];
      this.#next = next;
      this.#show(this.rows, next !== null);
      this.#more.hidden = next === null;
    } catch (error) {
      if (!mine.signal.aborted) this.#failed(error);
    }
  }
}
