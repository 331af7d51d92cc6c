/**
 * Lets the person choose which of their other conversations to end when all their places are taken.
 * main.js starts the new conversation. Loaded on demand.
 */
import { create, isolate } from '../common/dom.js';

/** A session that takes a place. @typedef {{id: string, state: string, profile: string, opened_at: string}} PlacedSession */
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
    const { sessions, next_token } = /** @type {{sessions: PlacedSession[], next_token: NextToken}} */ (answer);
    const open = sessions.filter(({ state }) => state === 'open');
    if (open.length === 0) return failed(nothingToEnd(next_token));
    place.replaceChildren(
      ...open.map((session, index) => {
        const button = create(
          'button',
          buttonLabel(session, open.length, nameOf),
          index === 0 ? 'button small primary' : 'button small',
        );
        button.type = 'button';
        button.addEventListener('click', () => {
          for (const other of place.querySelectorAll('button')) other.disabled = true; // end only one
          // An ended conversation may keep its place for a while. A start would only be refused, so look again.
          api
            .request('POST', `/sessions/${encodeURIComponent(session.id)}/end`, {})
            .then((ended) => {
              const { held_until } = /** @type {{held_until: string | null}} */ (ended);
              return held_until ? offerOtherSessions(api, place, nameOf, placeFreed, failed) : placeFreed();
            })
            .catch(failed);
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
  if (code !== 'too-many-sessions') return { code, retryAfterSeconds: retry_after_seconds };
  const until = clockTime(new Date(Date.now() + (retry_after_seconds ?? 0) * 1000));
  const detail = `Your last conversations still count until ${until}. The button shows when you can start again.`;
  return { code: 'places-held', detail, retryAfterSeconds: retry_after_seconds };
}

/** @param {PlacedSession} session @param {number} count @param {(profile: string) => string} nameOf */
function buttonLabel({ profile, opened_at }, count, nameOf) {
  const since = clockTime(new Date(opened_at));
  return `End ${count === 1 ? 'the conversation' : `“${isolate(nameOf(profile))}”`} from ${since}`;
}

/** @param {Date} time */
const clockTime = (time) => time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
