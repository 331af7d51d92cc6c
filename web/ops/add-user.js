/**
 * The dialog that adds one of the broker's own users.
 */
import { isolate } from '../common/dom.js';
import { h } from './build.js';
import { openDialog } from './dialog.js';
import { checkboxes, field, select } from './form.js';

/** @param {import('./view.js').ViewContext} context */
export async function addUser(context) {
  const { plans } = await context.api.overview().catch(() => ({ plans: [{ name: 'default' }] }));
  const fields = [
    field(
      'Username',
      h('input', {
        name: 'username',
        required: true,
        autocomplete: 'off',
        autocapitalize: 'none',
        spellcheck: 'false',
      }),
    ),
    field(
      'Password',
      h('input', { name: 'password', type: 'password', required: true, autocomplete: 'new-password' }),
      'You can set a new one at any time. Nobody can read it.',
    ),
    field(
      'Plan',
      select(
        'plan',
        plans.map(({ name }) => [name, name]),
        'default',
      ),
    ),
  ];
  let key = '';
  const done = await openDialog(context, {
    title: 'Add a user',
    body: [],
    fields,
    action: 'Add user',
    async act(form) {
      const text = (/** @type {string} */ name) => String(form.get(name) ?? '');
      const user = {
        username: text('username'),
        password: text('password'),
        plan: text('plan'),
        roles: form.getAll('roles').map(String),
      };
      ({ key } = await context.api.addUser(user));
      context.announce(`Added ${isolate(user.username)}.`);
    },
    extra: checkboxes(
      'Roles',
      'roles',
      ['operator'],
      false,
      'Operators can see this page and change everything on it.',
    ),
  });
  if (done) context.navigate(`/users/${key}`);
}
