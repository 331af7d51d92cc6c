/**
 * The conversation so far as the wire's contents, for a session that lacks all or a part of it. session-run.js loads this module
 * when a token is granted. Leaves the message around the contents to shared/model-rules.js.
 */

/** @typedef {import('../shared/events.js').Caption} Caption */
/** @typedef {{role: 'user' | 'model', parts: {text: string}[]}} Content */

/** How much text a new session receives. About 5000 tokens, which are billed again with every turn. */
const HISTORY_CHARACTERS = 20_000;

/** An earlier conversation. @param {{role: 'user' | 'model', text: string}[]} [turns] @returns {Content[]} */
export const earlier = (turns = []) => turns.map(({ role, text }) => ({ role, parts: [{ text }] }));

/**
 * The newest turns of one start.
 * @param {Caption[]} turns oldest first
 * @param {string} idPrefix of their ids
 * @param {number} [typedSent] the last typed text that was sent; later ones are sent to the new session themselves
 * @param {{at: number, typed: number}} [saved] what the session knows: everything until the time `at`, in epoch milliseconds,
 *   and the typed texts up to this number
 * @returns {Content[]}
 */
export function newest(turns, idPrefix, typedSent = Infinity, saved = { at: 0, typed: 0 }) {
  const found = [];
  let left = HISTORY_CHARACTERS;
  for (const { id, role, text, startedAt, endedAt } of [...turns].reverse()) {
    const typed = Number(id.split(`${idPrefix}-typed-`)[1]);
    if (typed > typedSent || typed <= saved.typed) continue;
    // A typed text is shown before the service has it, so its time says nothing.
    if (!typed && (role === 'user' ? endedAt : startedAt) <= saved.at) continue;
    left -= text.length;
    if (!id.startsWith(`${idPrefix}-`) || left < 0) break;
    found.unshift({ role, parts: [{ text }] });
  }
  return found;
}
