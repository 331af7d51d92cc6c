/**
 * The dialogs that block, unblock and sign out one person, set a password or the role, and those for several people.
 * Each resolves with whether the action succeeded.
 */
import { isolate } from '../common/dom.js';
import { h } from './build.js';
import { openDialog } from './dialog.js';
import { field, select } from './form.js';
import { counted, formatTime } from './format.js';
import { openBulkDialog } from './selection.js';

/** @typedef {import('./view.js').ViewContext} ViewContext */
/** @typedef {import('./api.js').User} User */

/** @param {import('./api.js').Person} person */
export const nameOf = (person) => isolate(person.name || person.subject);

const BLOCK =
  'The broker rejects every request, whatever credential is used. Open sessions get no more tokens and learn of the block at their next heartbeat.';

const reasonField = () =>
  field(
    'Reason',
    h('input', { name: 'reason', pattern: '[\\s\\S]{0,255}', title: 'At most 255 characters', autocomplete: 'off' }),
    'Only operators see it, in the audit trail.',
  );

/** @param {FormData} form */
const reasonIn = (form) => String(form.get('reason') ?? '').trim();

/** @param {ViewContext} context @param {User} user */
export function blockUser(context, user) {
  const who = nameOf(user);
  return openDialog(context, {
    title: `Block ${who}?`,
    body: [h('p', {}, BLOCK)],
    fields: [reasonField()],
    action: 'Block',
    danger: true,
    async act(form) {
      const { honoured_until: until } = await context.api.block(user.key, reasonIn(form));
      const outcome = until
        ? `Google may accept the last token until ${formatTime(until)}.`
        : 'None of their tokens is valid any longer.';
      context.announce(`Blocked. ${outcome}`);
      return { title: `${who} blocked`, body: [h('p', {}, outcome)] };
    },
  });
}

/** @param {ViewContext} context @param {import('./api.js').Person} person */
export function unblockUser(context, person) {
  return openDialog(context, {
    title: `Unblock ${nameOf(person)}?`,
    body: [h('p', {}, 'They can sign in again. Their previous sign-ins stay revoked.')],
    action: 'Unblock',
    act: async () => {
      await context.api.unblock(person.key);
      context.announce('Unblocked.');
    },
  });
}

/** @param {ViewContext} context @param {User} user */
export function signOutUser(context, user) {
  return openDialog(context, {
    title: `Sign out ${nameOf(user)}?`,
    body: [h('p', {}, 'All existing sign-ins and bearer tokens become invalid. They can sign in again at once.')],
    action: 'Sign out',
    act: async () => {
      await context.api.signOut(user.key);
      context.announce('Signed out everywhere.');
    },
  });
}

/** @param {ViewContext} context @param {User} user */
export function setPassword(context, user) {
  return openDialog(context, {
    title: `Set a new password for ${nameOf(user)}`,
    body: [h('p', {}, 'All existing sign-ins and bearer tokens become invalid.')],
    fields: [
      field(
        'New password',
        h('input', { name: 'password', type: 'password', required: true, autocomplete: 'new-password' }),
      ),
    ],
    action: 'Set password',
    async act(form) {
      await context.api.setPassword(user.key, String(form.get('password') ?? ''));
      context.announce('Password changed.');
    },
  });
}

/** Makes a user a member of a team, or of none. @param {ViewContext} context @param {User} user */
export function setTeam(context, user) {
  return openDialog(context, {
    title: `Set the team of ${nameOf(user)}`,
    body: [h('p', {}, 'It applies to new sessions. Open sessions stay charged to the team that they were opened for.')],
    fields: [
      field(
        'Team',
        h('input', { name: 'team', value: user.team ?? '', autocomplete: 'off', spellcheck: 'false', maxlength: 64 }),
        'Leave it empty for no team.',
      ),
    ],
    action: 'Set team',
    async act(form) {
      await context.api.setTeam(user.key, String(form.get('team') ?? '').trim() || null);
      context.announce('Team changed.');
    },
  });
}

/** Makes a user an operator, or takes the role away. @param {ViewContext} context @param {User} user */
export function setRole(context, user) {
  const who = nameOf(user);
  const was = user.roles.includes('operator');
  return openDialog(context, {
    title: was ? `Remove the operator role from ${who}?` : `Make ${who} an operator?`,
    body: [
      h(
        'p',
        {},
        was
          ? 'They can no longer open this page. They can still talk.'
          : 'Operators can see this page and change everything on it.',
      ),
    ],
    action: was ? 'Remove role' : 'Make operator',
    danger: was,
    async act() {
      await context.api.setRoles(user.key, was ? [] : ['operator']);
      context.announce(was ? `${who} is no longer an operator.` : `${who} is an operator now.`);
    },
  });
}

/** @param {ViewContext} context @param {User[]} users */
export function blockUsers(context, users) {
  return openBulkDialog(context, {
    title: `Block ${counted(users.length, 'user')}?`,
    done: 'blocked',
    action: 'Block',
    danger: true,
    body: [h('p', {}, BLOCK)],
    fields: [reasonField()],
    rows: users,
    nameOf,
    each: (user, form) => context.api.block(user.key, reasonIn(form)),
  });
}

/**
 * Sets the same limits for several people. An empty field leaves a limit as it is.
 * @param {ViewContext} context @param {User[]} users
 */
export async function limitUsers(context, users) {
  const { plans } = await context.api.overview();
  const number = (/** @type {string} */ name) => h('input', { name, type: 'number', min: 0, inputmode: 'numeric' });
  return openBulkDialog(context, {
    title: `Set limits of ${counted(users.length, 'user')}`,
    done: 'changed',
    action: 'Set limits',
    body: [h('p', {}, 'Leave a field empty to keep each user’s own value.')],
    fields: [
      field(
        'Plan',
        select('plan', [['', 'keep'], ...plans.map(({ name }) => /** @type {[string, string]} */ ([name, name]))]),
      ),
      field('Sessions at once', number('sessions')),
      field('Minutes per day', number('minutes_per_day')),
      field('Minutes per session', number('session_minutes')),
    ],
    rows: users,
    nameOf,
    each: (user, form) => {
      const given = [...form.entries()].filter(([, value]) => value !== '');
      const changes = given.map(([name, value]) => [name, name === 'plan' ? value : Number(value)]);
      return context.api.setLimits(user.key, user.version, Object.fromEntries(changes));
    },
  });
}
