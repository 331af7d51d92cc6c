/**
 * The detail of an audit entry: values that changed as a diff, other members as a list.
 */
import { h } from './build.js';
import { formatTime } from './format.js';

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/;

/** @param {Record<string, unknown> | null} detail */
export function detailCell(detail) {
  if (!detail) return '–';
  const { before, after, ...rest } = detail;
  const names = [...new Set([...Object.keys(mapOf(before)), ...Object.keys(mapOf(after))])];
  const changed = names.filter((name) => plain(mapOf(before)[name]) !== plain(mapOf(after)[name]));
  return h(
    'dl',
    { class: 'detail' },
    ...Object.entries(rest)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => h('div', {}, h('dt', {}, label(name)), h('dd', {}, plain(value)))),
    ...changed.map((name) => difference(name, before && [mapOf(before)[name]], after && [mapOf(after)[name]])),
  );
}

/**
 * Something new has no value before, and something removed none after.
 * @param {string} name @param {unknown} before @param {unknown} after  in a list of one; otherwise there is none
 */
function difference(name, before, after) {
  return h(
    'div',
    { class: 'diff' },
    h('dt', {}, label(name)),
    h(
      'dd',
      {},
      Array.isArray(before) && h('del', {}, h('span', { class: 'visually-hidden' }, 'before: '), plain(before[0])),
      ' ',
      Array.isArray(after) && h('ins', {}, h('span', { class: 'visually-hidden' }, 'after: '), plain(after[0])),
    ),
  );
}

/** @param {string} name */
const label = (name) => name.replaceAll('_', ' ');

/** @param {unknown} value @returns {Record<string, unknown>} */
const mapOf = (value) =>
  typeof value === 'object' && value !== null ? /** @type {Record<string, unknown>} */ (value) : {};

/** @param {unknown} value @returns {string} */
function plain(value) {
  if (value === undefined || value === null) return 'not set';
  if (Array.isArray(value)) return value.map(plain).join(', ') || 'none';
  if (typeof value === 'object') return JSON.stringify(value);
  return MOMENT.test(String(value)) ? formatTime(String(value)) : String(value);
}
