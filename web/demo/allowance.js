/**
 * The line below the Talk button that says how many minutes are left today, and by which plan. If the profile shows the
 * cost, it also says what is left of the budgets. It is brought up to date after each call.
 */
import { byId, create } from '../common/dom.js';

/** @typedef {import('../common/api.js').Account} Account */

/** By then the broker knows that the call has ended. */
const SETTLED_MS = 1000;
const OVER = new Set(['ended', 'error']);

/** Such as "$3.10 of $5.00 left this month"; null for minutes. @param {import('../common/api.js').Budget} budget */
function moneyLeft({ policy, limit, used, currency }) {
  if (currency === null) return null;
  const money = (/** @type {number} */ amount) =>
    new Intl.NumberFormat('en', { style: 'currency', currency, currencyDisplay: 'narrowSymbol' }).format(amount);
  // Rounded down to whole cents: more than is left must not be promised.
  const left = Math.floor(Math.max(0, Number(limit) - Number(used)) * 100) / 100;
  return `${money(left)} of ${money(Number(limit))} left ${policy.endsWith('day') ? 'today' : 'this month'}`;
}

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
    const money = (limits.budget ?? []).flatMap((one) => moneyLeft(one) ?? []);
    this.#line.textContent = [`${left} of ${all} minutes left today`, ...money, `${plan} plan`].join(' · ');
  }

  async #refresh() {
    const account = await this.#api.me().catch(() => null); // the old line is better than none
    if (account) this.show(account);
  }
}
