/**
 * Rows of the API as CSV. Pure functions; csv-export.js saves the files.
 */

/** At the start of a cell these make a spreadsheet run the rest as a formula. */
const FORMULA = /^[=+\-@\t\r]/;
/** Tells spreadsheets that the file is UTF-8. */
const BYTE_ORDER_MARK = '\uFEFF';

/**
 * RFC 4180 with one column per member of the rows; members of objects become columns such as `limits.plan`.
 * @param {object[]} rows
 */
export function toCsv(rows) {
  const flat = rows.map((row) => flatten(row));
  const found = [...new Set(flat.flatMap((row) => [...row.keys()]))];
  // An object that is null in some rows has its columns from the others.
  const names = found.filter((name) => !found.some((other) => other.startsWith(`${name}.`)));
  const lines = [names, ...flat.map((row) => names.map((name) => row.get(name) ?? ''))];
  return BYTE_ORDER_MARK + lines.map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('');
}

/**
 * @param {object} row @param {string} [prefix] @param {Map<string, string>} [found]
 * @returns {Map<string, string>}
 */
function flatten(row, prefix = '', found = new Map()) {
  for (const [name, value] of Object.entries(row)) {
    if (Array.isArray(value)) found.set(prefix + name, value.map(textOf).join(' '));
    else if (typeof value === 'object' && value !== null) flatten(value, `${prefix}${name}.`, found);
    else found.set(prefix + name, textOf(value));
  }
  return found;
}

/** @param {unknown} value */
function textOf(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** @param {string} text */
function quoted(text) {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
