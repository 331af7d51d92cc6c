/**
 * The audit trail: who did what, when, and with which outcome; newest first. It begins with what operators changed.
 * The address has the filters, so that a link leads to the same entries.
 */
import { detailCell } from './audit-detail.js';
import { ACTIONS, OUTCOMES } from './audit-words.js';
import { button, h } from './build.js';
import { CODES } from './codes.js';
import { exportList } from './csv-export.js';
import { ErrorBox } from './error-box.js';
import { field, showFieldErrors } from './form.js';
import { timeOf, ZONE } from './format.js';
import { badge, heading, Pages } from './parts.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').AuditEntry} AuditEntry */
/** @typedef {Record<string, string>} Filters */

const GOOD = new Set(['ok', 'granted', 'issued', 'confirmed']);
/** @type {Record<string, string>} */
const KINDS = { changes: 'Changes', refusals: 'Refusals', '': 'Everything' };

/** @param {import('./view.js').ViewContext} context @param {URLSearchParams} filters @returns {import('./view.js').View} */
export function auditView(context, filters) {
  const errorBox = new ErrorBox(context);
  const text = (/** @type {string} */ label, /** @type {string} */ name, /** @type {string} */ placeholder) =>
    field(label, h('input', { name, placeholder, autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' }));
  const action = h(
    'select',
    { name: 'action' },
    option('', 'Any'),
    ...ACTIONS.map(([group, names]) => optionGroup(group, names)),
  );
  const outcome = h(
    'select',
    { name: 'outcome' },
    option('', 'Any'),
    ...OUTCOMES.map((name) => option(name)),
    optionGroup('Refusals', [...CODES].sort()),
  );
  const fields = [
    text('Actor', 'actor', 'Part of a name'),
    field('Action', action),
    field('Outcome', outcome),
    text('Session or request', 'id', 'ID'),
    field(`From (${ZONE})`, h('input', { name: 'since', type: 'datetime-local', step: 1 })),
    field(`To (${ZONE})`, h('input', { name: 'until', type: 'datetime-local', step: 1 })),
  ];
  let kind = filters.size === 0 ? 'changes' : (filters.get('kind') ?? '');
  for (const { control } of fields) setValue(control, filters.get(control.name) ?? '');
  setValue(fields[3].control, filters.get('session') ?? filters.get('request_id') ?? '');
  for (const control of [action, outcome]) control.addEventListener('change', () => apply());
  /** The filters as last applied. "Show more" continues with these, not with what is being typed. */
  let applied = query();

  const kinds = h(
    'fieldset',
    { class: 'range' },
    h('legend', { class: 'visually-hidden' }, 'Entries'),
    ...Object.entries(KINDS).map(([value, label]) =>
      h(
        'label',
        {},
        h('input', {
          type: 'radio',
          name: 'kind',
          value,
          checked: value === kind,
          onchange: () => {
            kind = value;
            apply();
          },
        }),
        h('span', {}, label),
      ),
    ),
  );

  const table = new Table(
    'Audit trail',
    /** @type {import('./table.js').Column<AuditEntry>[]} */ ([
      { head: `When (${ZONE})`, cell: ({ at }) => timeOf(at) },
      { head: 'Actor', cell: ({ actor }) => filterButton('actor', actor, 'whole', shortened(actor)) },
      { head: 'Action', cell: ({ action: name }) => filterButton('action', name, 'whole') },
      { head: 'Outcome', cell: ({ outcome: code, times }) => outcomeCell(code, times) },
      { head: 'Detail', cell: ({ detail }) => detailCell(detail) },
      { head: 'Session', cell: ({ session_id: id }) => (id ? filterButton('id', id, 'id') : '–') },
      { head: 'Request', cell: ({ request_id: id }) => (id ? filterButton('id', id, 'id') : '–') },
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

  /** @returns {Filters} */
  function query() {
    const [{ control: actor }, , , { control: id }, { control: since }, { control: until }] = fields;
    const wanted = id.value.trim();
    return {
      kind,
      actor: actor.value.trim(),
      action: action.value,
      outcome: outcome.value,
      [wanted.startsWith('ses_') ? 'session' : 'request_id']: wanted,
      since: since.value && stamp(since.value),
      until: until.value && stamp(until.value),
    };
  }

  function apply() {
    for (const one of fields) one.showError('');
    applied = query();
    const named = Object.entries(applied).filter(([name, value]) => value || name === 'kind');
    window.history.replaceState(null, '', `#/audit?${new URLSearchParams(named)}`);
    void pages.restart();
  }

  /** A button that turns a value into a filter. @param {string} name @param {string} value @param {string} [look] @param {string} [text] */
  function filterButton(name, value, look = '', text = value) {
    return button(
      text,
      () => {
        const control = fields.find(({ control: { name: its } }) => its === name)?.control;
        if (!control) return;
        setValue(control, value);
        apply();
        control.focus();
      },
      { class: `filter-value ${look}`, title: `Filter by ${value}` },
    );
  }

  return {
    title: 'Audit trail',
    element: h(
      'div',
      {},
      heading(
        'Audit trail',
        kinds,
        button('Export CSV', () =>
          exportList('audit', async (page) => {
            const { rows, next } = await context.api.audit({ ...applied, ...page });
            return { rows: rows.map((row) => ({ ...row, detail: row.detail && JSON.stringify(row.detail) })), next };
          }).then(context.announce, (error) => errorBox.show(error)),
        ),
      ),
      h(
        'form',
        {
          class: 'filters audit-filters',
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

/** @param {string} value @param {string} [text] */
const option = (value, text = value) => h('option', { value }, text);

/** @param {string} label @param {string[]} values */
const optionGroup = (label, values) => h('optgroup', { label }, ...values.map((value) => option(value)));

/**
 * Sets a filter. A select gets an option for a value that it does not know; a time is shown on the local clock.
 * @param {import('./form.js').Control} control @param {string} value
 */
function setValue(control, value) {
  const isTime = control.type === 'datetime-local' && value !== '';
  control.value = isTime ? localTime(value) : value;
  if (control.value === value || isTime) return;
  control.append(option(value));
  control.value = value;
}

/** The end of an actor names the person, so the middle gives way. @param {string} actor */
function shortened(actor) {
  const text = actor.replace(/^https:\/\//, '');
  return text.length > 28 ? `${text.slice(0, 9)}…${text.slice(-18)}` : text;
}

/** RFC 3339 in UTC. @param {string} local */
const stamp = (local) => `${new Date(local).toISOString().slice(0, 19)}Z`;

/** @param {string} at  RFC 3339 */
function localTime(at) {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return '';
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** Repeated refusals share an entry. @param {string} outcome @param {number} times */
function outcomeCell(outcome, times) {
  const shown = badge(outcome, GOOD.has(outcome) ? 'good' : 'plain');
  return times > 1 ? h('span', {}, shown, h('span', { class: 'whole' }, ` ${times} times`)) : shown;
}
