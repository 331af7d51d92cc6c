/**
 * The detail of an audit entry: values that changed as a diff, other members as a list.
 */
import { h } from './build.js';

/** @param {Record<string, unknown> | null} detail */
export function detailCell(detail) {
  if (!detail) return '–';
  const { before, after, ...rest } = detail;
  const names = [...new Set([...Object.keys(mapOf(before)), ...Object.keys(mapOf(after))])];
  const changed = names.filter((name) => plain(mapOf(before)[name]) !== plain(mapOf(after)[name]));
  return h(
    'dl',
    { class: 'detail' },
    ...Object.entries(rest).map(([name, value]) => h('div', {}, h('dt', {}, label(name)), h('dd', {}, plain(value)))),
    ...changed.map((name) => difference(name, mapOf(before)[name], mapOf(after)[name])),
  );
}

/** @param {string} name @param {unknown} before @param {unknown} after */
function difference(name, before, after) {
  return h(
    'div',
    { class: 'diff' },
    h('dt', {}, label(name)),
    h(
      'dd',
      {},
      h('del', {}, h('span', { class: 'visually-hidden' }, 'before: '), plain(before)),
      ' ',
      h('ins', {}, h('span', { class: 'visually-hidden' }, 'after: '), plain(after)),
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
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
