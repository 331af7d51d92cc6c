/**
 * What is spent today and this month: figures of the project, and who has spent most.
 */
import { h } from './build.js';
import { ErrorBox } from './error-box.js';
import { count, money } from './format.js';
import { Pages, person } from './parts.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').Spender} Spender */
/** @typedef {import('./api.js').BudgetUse} BudgetUse */
/** @typedef {import('./api.js').ProjectSpent} ProjectSpent */
/** @typedef {{name: string, value: string, beside: string, share?: number}} Figure */

const PAGE = 10;

/** The budget's use as text, such as "$4.00 of $10.00". @param {BudgetUse} budget */
export function amountOf({ limit, used, currency }) {
  const size = (/** @type {string | number} */ one) =>
    currency === null ? count(Number(one)) : money(String(one), currency);
  return `${size(used)} of ${size(limit)}${currency === null ? ' minutes' : ''}`;
}

/** @param {BudgetUse} budget */
export const periodOf = ({ policy }) => (policy.endsWith('day') ? 'day' : 'month');

/**
 * The figures for the tiles of the overview. There are none without prices.
 * @param {ProjectSpent} spent @returns {Figure[]}
 */
export function figuresOf({ currency, today, this_month: month, projected, budgets }) {
  if (currency === null) return [];
  const figure = (/** @type {string} */ name, /** @type {string} */ spent, /** @type {string} */ policy) => {
    const budget = budgets.find((one) => one.policy === policy);
    return {
      name,
      value: money(spent, currency),
      beside: budget ? `of ${money(String(budget.limit), currency)}` : '',
      ...(budget && Number(budget.limit) > 0 && { share: Number(budget.used) / Number(budget.limit) }),
    };
  };
  const whole = figure('Cost this month', month, 'budget_per_month');
  const expected = projected === null ? '' : `about ${money(projected, currency)} by the end of the month`;
  return [
    figure('Cost today', today, 'budget_per_day'),
    { ...whole, beside: [whole.beside, expected].filter(Boolean).join('; ') },
  ];
}

/**
 * A list of those who have spent most this month, in pages. Each kind of owner has its own.
 * @param {import('./view.js').ViewContext} context @param {string} title @param {string} kind
 */
export function spendingList(context, title, kind) {
  const errorBox = new ErrorBox(context);
  let currency = /** @type {string | null} */ (null);
  const table = new Table(
    title,
    /** @type {import('./table.js').Column<Spender>[]} */ ([
      { head: 'Name', cell: (one) => person(one, one.known) },
      { head: 'Today', kind: 'number', cell: ({ today }) => money(today, currency) },
      { head: 'This month', kind: 'number', cell: ({ this_month: month }) => money(month, currency) },
      {
        head: 'Budgets',
        cell: ({ budgets }) => budgets.map((one) => `${amountOf(one)} a ${periodOf(one)}`).join('; ') || '–',
      },
    ]),
    ({ key }) => key,
    'Nothing spent this month.',
  );
  const pages = new Pages(
    (cursor, signal) => context.api.spending({ kind, limit: PAGE, cursor }, signal),
    (rows) => {
      errorBox.clear();
      table.show(rows);
      element.hidden = kind === 'team' && rows.length === 0; // there may be no teams
    },
    (error) => errorBox.show(error, () => void pages.restart()),
  );
  const element = h(
    'section',
    { class: 'spending', 'aria-label': title },
    h('h2', {}, title),
    errorBox.element,
    table.element,
    pages.element,
  );
  element.hidden = true;
  return {
    element,
    /** Loads the first page, if there are prices. @param {ProjectSpent} spent */
    show(spent) {
      currency = spent.currency;
      element.hidden = currency === null;
      if (currency !== null) void pages.restart();
    },
    close: () => pages.close(),
  };
}
