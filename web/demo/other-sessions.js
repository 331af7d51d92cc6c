/**
 * Lets the person choose which of their other conversations to end when all their places are taken.
 * main.js starts the new conversation. Loaded on demand.
 */
import { create } from '../common/dom.js';

/** @typedef {{id: string, profile: string, opened_at: string}} OpenSession */
/** @typedef {{granted: boolean, code?: string, retry_after_seconds?: number}} NextToken */

/**
 * @param {import('../common/api.js').Api} api
 * @param {HTMLElement} place  holds the buttons
 * @param {(profile: string) => string} nameOf  the label of a profile
 * @param {() => void} placeFreed  called when the chosen conversation has ended
 * @param {(error: unknown) => void} failed  also called, with the reason, if there is no conversation to end
 */
export async function offerOtherSessions(api, place, nameOf, placeFreed, failed) {
  try {
    const answer = await api.request('GET', '/me');
    const { sessions, next_token } = /** @type {{sessions: OpenSession[], next_token: NextToken}} */ (answer);
    if (sessions.length === 0) return failed(nothingToEnd(next_token));
    place.replaceChildren(
      ...sessions.map((session, index) => {
        const button = create(
          'button',
          buttonLabel(session, sessions.length, nameOf),
          index === 0 ? 'button small primary' : 'button small',
        );
        button.type = 'button';
        button.addEventListener('click', () => {
          for (const other of place.querySelectorAll('button')) other.disabled = true; // end only one
          api.request('POST', `/sessions/${encodeURIComponent(session.id)}/end`, {}).then(placeFreed, failed);
        });
        return button;
      }),
    );
  } catch (error) {
    failed(error);
  }
}

/**
 * In both cases the person presses Talk again. An automatic start could be refused and lead back here.
 * @param {NextToken} next
 */
function nothingToEnd({ granted, code, retry_after_seconds }) {
  if (granted) return { code: 'place-freed' };
  return { code: code === 'too-many-sessions' ? 'places-held' : code, retryAfterSeconds: retry_after_seconds };
}

/** @param {OpenSession} session @param {number} count @param {(profile: string) => string} nameOf */
function buttonLabel({ profile, opened_at }, count, nameOf) {
  const since = new Date(opened_at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return `End ${count === 1 ? 'the conversation' : `“${nameOf(profile)}”`} from ${since}`;
}
