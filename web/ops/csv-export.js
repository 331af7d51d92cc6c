/**
 * Saves lists and figures as CSV files: what the API returns, with the filters of the view.
 */
import { toCsv } from './csv.js';
import { counted } from './format.js';

/** Rows in one file. An older part of the audit trail is exported with a time filter. */
const MOST_ROWS = 10_000;
const PAGE = 200;

/** @param {string} name @param {object[]} rows */
function save(name, rows) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([toCsv(rows)], { type: 'text/csv;charset=utf-8' }));
  link.download = `${name}-${new Date().toISOString().slice(0, 16).replace(':', '-')}.csv`;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** One line for each step of the charts. @param {import('./api.js').Usage} usage */
export function exportFigures({ range, points }) {
  save(`usage-${range}`, points);
}

/**
 * Loads all pages of a list, and saves them as one file.
 * @template {object} T
 * @param {string} name
 * @param {(query: {cursor: string | null, limit: number}) => Promise<import('./api.js').Page<T>>} load
 * @returns {Promise<string>} what was saved, for the operator
 */
export async function exportList(name, load) {
  /** @type {T[]} */
  const rows = [];
  let cursor = /** @type {string | null} */ (null);
  do {
    const page = await load({ cursor, limit: PAGE });
    rows.push(...page.rows);
    cursor = page.next;
  } while (cursor !== null && rows.length < MOST_ROWS);
  save(name, rows);
  return `Exported ${counted(rows.length, 'row')}.${cursor === null ? '' : ' There are more: narrow the filters.'}`;
}
