/**
 * The service keys of backends: the list, a new key (shown only once), and revoking.
 */
import { isolate } from '../common/dom.js';
import { button, h } from './build.js';
import { openDialog } from './dialog.js';
import { ErrorBox } from './error-box.js';
import { checkboxes, field, select } from './form.js';
import { timeOf } from './format.js';
import { shownOnce } from './new-key.js';
import { badge, heading, Pages } from './parts.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').ServiceKey} ServiceKey */

/** Scope, meaning, and whether a key of an app's backend needs it. @type {[name: string, meaning: string, usual: boolean][]} */
const SCOPES = [
  ['token', 'open sessions', true],
  ['sessions', 'renew, report and end its sessions', true],
  ['read', 'read profiles and what is left', true],
  ['metrics', 'read GET /metrics, for Prometheus; give it a key of its own', false],
];

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function keysView(context) {
  const errorBox = new ErrorBox(context);
  const table = new Table(
    'Service keys',
    /** @type {import('./table.js').Column<ServiceKey>[]} */ ([
      {
        head: 'Name',
        cell: ({ name, id }) => h('span', { class: 'person' }, h('span', {}, name), h('small', { class: 'quiet' }, id)),
      },
      { head: 'State', cell: (one) => state(one) },
      { head: 'Plan', cell: ({ plan }) => plan },
      { head: 'Scopes', cell: ({ scopes }) => scopes.join(', ') },
      { head: 'Profiles', cell: ({ profiles }) => profiles?.join(', ') ?? 'all in its plan' },
      {
        head: 'On behalf of',
        cell: ({ on_behalf_of: whose }) => (whose === null ? 'itself only' : whose === 'any' ? 'anyone' : whose),
      },
      {
        head: 'Plans of users',
        cell: ({ on_behalf_of: whose, user_plan: usual, plans }) =>
          whose === null ? '' : [usual, ...plans.filter((plan) => plan !== usual)].join(', '),
      },
      { head: 'Last used', cell: ({ last_used_at: at }) => timeOf(at, 'never') },
      { head: 'Expires', cell: ({ expires_at: at }) => timeOf(at, 'never') },
      {
        head: 'Actions',
        kind: 'actions',
        cell: (one) =>
          one.revoked_at
            ? ''
            : button('Revoke', () => void revoke(one), { 'aria-label': `Revoke the key ${isolate(one.name)}` }),
      },
    ]),
    ({ id }) => id,
    'No service keys yet.',
  );
  const pages = new Pages(
    (cursor, signal) => context.api.keys({ cursor }, signal),
    (rows) => {
      errorBox.clear();
      table.show(rows);
    },
    (error) => errorBox.show(error, refresh),
  );
  const refresh = () => void pages.restart();

  /** @param {ServiceKey} key */
  async function revoke({ id, name }) {
    const done = await openDialog(context, {
      title: `Revoke the key ${isolate(name)}?`,
      body: [
        h(
          'p',
          {},
          'The broker rejects the key from its next request. Sessions that it opened continue to their end and cannot be renewed. You cannot undo this or reuse the name.',
        ),
      ],
      action: 'Revoke key',
      danger: true,
      async act() {
        await context.api.revokeKey(id);
        context.announce(`Revoked ${isolate(name)}.`);
      },
    });
    if (done) refresh();
  }

  async function create() {
    const { plans, profiles } = await context.api
      .overview()
      .catch(() => ({ plans: [{ name: 'default' }], profiles: [] }));
    const done = await openDialog(context, {
      title: 'Create a service key',
      body: [],
      fields: [
        field(
          'Name',
          h('input', {
            name: 'name',
            required: true,
            autocomplete: 'off',
            autocapitalize: 'none',
            spellcheck: 'false',
            pattern: '[\\s\\S]{0,64}',
            title: 'At most 64 characters',
          }),
        ),
        field(
          'Plan',
          select(
            'plan',
            plans.map(({ name }) => [name, name]),
            'default',
          ),
          'All users of the backend share its rate.',
        ),
        field(
          'On behalf of',
          h('input', { name: 'on_behalf_of', autocomplete: 'off', spellcheck: 'false', placeholder: 'itself only' }),
          'Enter any, or a prefix such as shop:*',
        ),
        field(
          'Plan of its users',
          select(
            'user_plan',
            plans.map(({ name }) => [name, name]),
            'default',
          ),
          'Applies if a request names no plan.',
        ),
        field(
          'Expires after (days)',
          h('input', {
            name: 'expires_days',
            type: 'number',
            min: 1,
            max: 3650,
            inputmode: 'numeric',
            placeholder: 'never',
          }),
        ),
      ],
      extra: h(
        'div',
        {},
        h(
          'fieldset',
          { class: 'form-row' },
          h('legend', {}, 'Scopes'),
          ...SCOPES.map(([name, meaning, usual]) =>
            h(
              'label',
              { class: 'scope' },
              h('input', { type: 'checkbox', name: 'scopes', value: name, checked: usual }),
              h('span', {}, h('code', {}, name), h('span', { class: 'quiet' }, ` ${meaning}`)),
            ),
          ),
        ),
        plans.length > 1 &&
          checkboxes(
            'Plans that a request may name for a user',
            'plans',
            plans.map(({ name }) => name),
            false,
            'Leave empty for the plan above only',
          ),
        profiles.length > 1 && checkboxes('Profiles', 'profiles', profiles, false, 'Leave empty for all'),
      ),
      action: 'Create key',
      async act(form) {
        const text = (/** @type {string} */ name) => String(form.get(name) ?? '').trim();
        const chosen = form.getAll('profiles').map(String);
        const made = await context.api.createKey({
          name: text('name'),
          plan: text('plan'),
          scopes: form.getAll('scopes').map(String),
          ...(chosen.length > 0 && { profiles: chosen }),
          ...(text('user_plan') !== 'default' && { user_plan: text('user_plan') }),
          ...(form.has('plans') && { plans: form.getAll('plans').map(String) }),
          ...(text('on_behalf_of') && { on_behalf_of: text('on_behalf_of') }),
          ...(text('expires_days') && { expires_days: Number(text('expires_days')) }),
        });
        context.announce(`Created the key ${isolate(made.name)}. It is shown only once.`);
        return shownOnce(made);
      },
    });
    if (done) refresh();
  }

  return {
    title: 'Service keys',
    element: h(
      'div',
      {},
      heading(
        'Service keys',
        button('Create key', () => void create(), { class: 'button small primary' }),
      ),
      errorBox.element,
      table.element,
      pages.element,
    ),
    refresh,
    close: () => pages.close(),
  };
}

/** @param {ServiceKey} key */
function state({ revoked_at: revoked, expires_at: expires }) {
  if (revoked) return badge('Revoked', 'bad');
  return expires && Date.parse(expires) < Date.now() ? badge('Expired', 'bad') : badge('Active', 'good');
}
