/**
 * Ends one session after a question that says what ending can and cannot do.
 */
import { h } from './build.js';
import { openDialog } from './dialog.js';
import { formatTime, timeOf } from './format.js';

/**
 * @param {import('./view.js').ViewContext} context
 * @param {import('./api.js').Session} session
 * @returns {Promise<boolean>} whether it was ended
 */
export function endSession(context, session) {
  const who = session.name || session.subject;
  // After a heartbeat a session holds its place until its newest token expires. Before that, `ends_at` is the limit.
  const latest = session.heartbeat_at ? session.held_until : session.ends_at;
  return openDialog(context, {
    title: `End the session of ${who}?`,
    body: [
      h('p', {}, 'It gets no more tokens. The client learns of this at its next heartbeat.'),
      h(
        'p',
        {},
        'A token cannot be revoked at Google. A client that ignores the end can keep talking until ',
        timeOf(latest),
        ' at the latest.',
      ),
      h('p', { class: 'quiet' }, `${session.profile} · ${session.id}`),
    ],
    action: 'End session',
    danger: true,
    async act() {
      const { honoured_until: until } = await context.api.endSession(session.id);
      const outcome = until
        ? `Google may accept its last token until ${formatTime(until)}.`
        : 'None of its tokens is valid any longer.';
      context.announce(`The session of ${who} has ended. ${outcome}`);
      return [h('p', {}, h('strong', {}, 'The session has ended.')), h('p', {}, outcome)];
    },
  });
}
