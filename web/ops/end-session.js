/**
 * Ends sessions after a question that says what ending can and cannot do. It can also block their users.
 */
import { isolate } from '../common/dom.js';
import { h } from './build.js';
import { openDialog } from './dialog.js';
import { field } from './form.js';
import { counted, formatTime, timeOf } from './format.js';
import { openBulkDialog } from './selection.js';

/** @typedef {import('./view.js').ViewContext} ViewContext */
/** @typedef {import('./api.js').Session} Session */

const NO_REVOCATION = 'A token cannot be revoked at Google. A client that ignores the end can keep talking until ';
const AGAIN = 'The user can start another session at once. To prevent that, choose “End and block”.';

/** @param {Session} session */
export const ownerOf = (session) => session.name || session.subject;

const reasonField = () =>
  field(
    'Reason for a block',
    h('input', { name: 'reason', pattern: '[\\s\\S]{0,255}', title: 'At most 255 characters', autocomplete: 'off' }),
    'Optional. Only operators see it, in the audit trail.',
  );

/**
 * @param {ViewContext} context
 * @param {Session} session
 * @returns {Promise<boolean>} whether it was ended
 */
export function endSession(context, session) {
  const who = isolate(ownerOf(session));
  // After a heartbeat a session holds its place until its newest token expires. Before that, `ends_at` is the limit.
  const latest = session.heartbeat_at ? session.held_until : session.ends_at;
  return openDialog(context, {
    title: `End the session of ${who}?`,
    body: [
      h('p', {}, 'It gets no more tokens. The client learns of this at its next heartbeat.'),
      h('p', {}, NO_REVOCATION, timeOf(latest), ' at the latest.'),
      h('p', {}, AGAIN),
      h('p', { class: 'quiet' }, `${session.profile} · ${session.id}`),
    ],
    fields: [reasonField()],
    action: 'End session',
    further: 'End and block',
    danger: true,
    async act(form) {
      const until = await end(context, session, form);
      const outcome = until
        ? `Google may accept its last token until ${formatTime(until)}.`
        : 'None of its tokens is valid any longer.';
      const title = form.has('further') ? `Session ended, ${who} blocked` : 'Session ended';
      context.announce(`${title}. ${outcome}`);
      return { title, body: [h('p', {}, outcome)] };
    },
  });
}

/** @param {ViewContext} context @param {Session[]} sessions */
export function endSessions(context, sessions) {
  const open = sessions.filter(({ state }) => state === 'open');
  return openBulkDialog(context, {
    title: `End ${counted(open.length, 'session')}?`,
    done: 'ended',
    action: 'End sessions',
    further: 'End and block',
    danger: true,
    body: [
      h('p', {}, 'They get no more tokens. The clients learn of this at their next heartbeat.'),
      h('p', {}, NO_REVOCATION, 'its last token expires.'),
      h('p', {}, AGAIN),
    ],
    fields: [reasonField()],
    rows: open,
    nameOf: (session) => isolate(ownerOf(session)),
    each: (session, form) => end(context, session, form),
  });
}

/**
 * A block comes first: if it is refused, nothing has changed.
 * @param {ViewContext} context @param {Session} session @param {FormData} form
 */
async function end(context, session, form) {
  if (form.has('further')) await context.api.block(session.key, String(form.get('reason') ?? '').trim());
  const { honoured_until: until } = await context.api.endSession(session.id);
  return until;
}
