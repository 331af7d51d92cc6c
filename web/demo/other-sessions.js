/**
 * The caller's conversations in other windows and on other devices, when they take all the places: which one shall end.
 * Needs: the Api, and the notice to put its buttons into. Loaded when it comes to that. Leaves: the new start to main.js.
 */
import { create } from '../common/dom.js';

/** @typedef {{id: string, profile: string, opened_at: string}} OpenSession */

/**
 * @param {import('../common/api.js').Api} api
 * @param {HTMLElement} place  of the buttons
 * @param {(profile: string) => string} nameOf  a profile, as the page calls it
 * @param {() => void} freed  a place is free
 * @param {(error: unknown) => void} failed
 */
export async function offerEnds(api, place, nameOf, freed, failed) {
  try {
    const { sessions } = /** @type {{sessions: OpenSession[]}} */ (await api.request('GET', '/me'));
    // Whatever took the place may have ended meanwhile.
    if (sessions.length === 0) return freed();
    place.replaceChildren(...sessions.map((session, index) => {
      const button = create('button', words(session, sessions.length, nameOf), index === 0 ? 'button small primary' : 'button small');
      button.type = 'button';
      button.addEventListener('click', () => {
        for (const one of place.querySelectorAll('button')) one.disabled = true; // one place is enough
        api.request('POST', `/sessions/${encodeURIComponent(session.id)}/end`, {}).then(freed, failed);
      });
      return button;
    }));
  } catch (error) {
    failed(error);
  }
}

/** @param {OpenSession} session @param {number} count @param {(profile: string) => string} nameOf */
function words({ profile, opened_at }, count, nameOf) {
  const since = new Date(opened_at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return `End ${count === 1 ? 'it' : `“${nameOf(profile)}”`}, begun at ${since}`;
}
