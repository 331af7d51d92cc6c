/**
 * The audit trail: who did what, when, and with which outcome; newest first, with filters.
 */
import { button, h } from './build.js';
import { ErrorBox } from './error-box.js';
import { field, showFieldErrors } from './form.js';
import { timeOf, ZONE } from './format.js';
import { badge, heading, Pages } from './parts.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').AuditEntry} AuditEntry */

const GOOD = new Set(['ok', 'granted', 'issued', 'confirmed']);

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function auditView(context) {
  const errorBox = new ErrorBox(context);
  const text = (/** @type {string} */ label, /** @type {string} */ name, hint = '') =>
    field(label, h('input', { name, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }), hint);
  const fields = [
    text('Actor', 'actor'),
    text('Action', 'action'),
    text('Outcome', 'outcome'),
    text('Session', 'session'),
    text('Request ID', 'request_id'),
    field(`From (${ZONE})`, h('input', { name: 'since', type: 'datetime-local' })),
    field(`To (${ZONE})`, h('input', { name: 'until', type: 'datetime-local' })),
  ];
  /** The filters as last applied. "Show more" continues with these, not with what is being typed. */
  let applied = query();

  const table = new Table(
    'Audit trail',
    /** @type {import('./table.js').Column<AuditEntry>[]} */ ([
      { head: `When (${ZONE})`, cell: ({ at }) => timeOf(at) },
      { head: 'Actor', cell: ({ actor }) => filterButton('actor', actor) },
      { head: 'Action', cell: ({ action }) => filterButton('action', action, 'whole') },
      { head: 'Outcome', cell: ({ outcome, times }) => outcomeOf(outcome, times) },
      { head: 'Detail', cell: ({ detail }) => described(detail) },
      { head: 'Session', cell: ({ session_id: id }) => (id ? filterButton('session', id, 'small') : '–') },
      { head: 'Request', cell: ({ request_id: id }) => (id ? filterButton('request_id', id, 'small') : '–') },
    ]),
    ({ id }) => String(id),
    'No matching entries.',
  );

  const pages = new Pages(
    (cursor, signal) => context.api.audit({ ...applied, cursor }, signal),
    (rows) => {
      errorBox.clear();
      table.show(rows);
    },
    (error) => {
      if (!showFieldErrors(fields, error)) errorBox.show(error, apply);
    },
  );

  function query() {
    return Object.fromEntries(
      fields.map(({ control }) => [
        control.name,
        control.value && control.type === 'datetime-local'
          ? `${new Date(control.value).toISOString().slice(0, 19)}Z`
          : control.value.trim(),
      ]),
    );
  }

  function apply() {
    for (const one of fields) one.showError('');
    applied = query();
    void pages.restart();
  }

  /** A button that turns a value into a filter. @param {string} name @param {string} value @param {string} [look] */
  function filterButton(name, value, look = '') {
    return button(
      value,
      () => {
        const control = fields.find(({ control: { name: its } }) => its === name)?.control;
        if (!control) return;
        control.value = value;
        apply();
        control.focus();
      },
      { class: `filter-value ${look}`, title: 'Filter by this value' },
    );
  }

  return {
    title: 'Audit trail',
    element: h(
      'div',
      {},
      heading('Audit trail'),
      h(
        'form',
        {
          class: 'filters',
          role: 'search',
          'aria-label': 'Audit trail',
          onsubmit: (/** @type {Event} */ event) => {
            event.preventDefault();
            apply();
          },
        },
        ...fields.map(({ element }) => element),
        h(
          'div',
          { class: 'filters-foot' },
          h('button', { type: 'submit', class: 'button small primary' }, 'Apply'),
          button('Clear', () => {
            for (const { control } of fields) control.value = '';
            apply();
          }),
        ),
      ),
      errorBox.element,
      table.element,
      pages.element,
    ),
    refresh: () => void pages.restart(),
    close: () => pages.close(),
  };
}

/** Repeated refusals share an entry. @param {string} outcome @param {number} times */
function outcomeOf(outcome, times) {
  const shown = badge(outcome, GOOD.has(outcome) ? 'good' : 'plain');
  return times > 1 ? h('span', {}, shown, ` ${times} times`) : shown;
}

/**
 * Shows a change as old and new values, and other members as a list.
 * @param {Record<string, unknown> | null} detail
 */
function described(detail) {
  if (!detail) return '–';
  const { before, after, ...rest } = detail;
  const names = [...new Set([...Object.keys(mapOf(before)), ...Object.keys(mapOf(after))])];
  const changed = names.filter((name) => plain(mapOf(before)[name]) !== plain(mapOf(after)[name]));
  return h(
    'dl',
    { class: 'detail' },
    ...Object.entries(rest).map(([name, value]) =>
      h('div', {}, h('dt', {}, name.replaceAll('_', ' ')), h('dd', {}, plain(value))),
    ),
    ...changed.map((name) =>
      h(
        'div',
        {},
        h('dt', {}, name.replaceAll('_', ' ')),
        h(
          'dd',
          {},
          h('del', {}, plain(mapOf(before)[name])),
          h('span', { class: 'visually-hidden' }, ' became '),
          h('span', { 'aria-hidden': 'true' }, ' → '),
          h('ins', {}, plain(mapOf(after)[name])),
        ),
      ),
    ),
  );
}

/** @param {unknown} value @returns {Record<string, unknown>} */
const mapOf = (value) =>
  typeof value === 'object' && value !== null ? /** @type {Record<string, unknown>} */ (value) : {};

/** @param {unknown} value @returns {string} */
function plain(value) {
  if (value === undefined || value === null) return 'not set';
  if (Array.isArray(value)) return value.map(plain).join(', ') || 'none';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
