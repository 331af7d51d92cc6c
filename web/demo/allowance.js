/**
 * The line below the Talk button that says how many minutes are left today, and by which plan. It is brought up to date
 * after each call.
 */
import { byId, create } from '../common/dom.js';

/** @typedef {import('../common/api.js').Account} Account */

/** By then the broker knows that the call has ended. */
const SETTLED_MS = 1000;
const OVER = new Set(['ended', 'error']);

export class Allowance {
  #api;
  #line = create('p', '', 'quiet');
  #timer = 0;

  /** @param {import('../common/api.js').Api} api */
  constructor(api) {
    this.#api = api;
    this.#line.id = 'allowance';
    const status = byId('status', HTMLParagraphElement);
    byId('status-lines', HTMLDivElement).append(this.#line);
    new MutationObserver(() => {
      window.clearTimeout(this.#timer);
      if (OVER.has(status.dataset.state ?? '')) this.#timer = window.setTimeout(() => void this.#refresh(), SETTLED_MS);
    }).observe(status, { attributeFilter: ['data-state'] });
  }

  /** @param {Account} account */
  show({ plan, limits }) {
    const { limit, used } = limits.minutes_per_day;
    const [left, all] = [Math.max(0, limit - used), limit].map((minutes) => minutes.toLocaleString('en'));
    this.#line.textContent = `${left} of ${all} minutes left today · ${plan} plan`;
  }

  async #refresh() {
    const account = await this.#api.me().catch(() => null); // the old line is better than none
    if (account) this.show(account);
  }
}
