/**
 * What was said so far, by whom and when. Owns: the list of turns, its order and its bound, and which sentences are
 * finished. Needs nothing. Leaves when words count as heard to captions.js.
 */

/** @typedef {import('../shared/events.js').Caption} Caption */

/** An hour of quick talk has some thousand turns; past this many the oldest go. */
const KEPT_TURNS = 5000;
/** What a new session is told of the old one. About 5000 tokens, which are billed again with every turn. */
const SEED_CHARACTERS = 20_000;
/** An end of a sentence that more text follows: a bare "3." may still become "3.14". */
const SENTENCE_END = /[.!?…]["'”’)\]]*\s|[。！？]/g;

export class Transcript {
  /** @type {Caption[]} */
  #turns = [];
  /** How much of each open caption was given out as sentences. @type {Map<string, number>} */
  #told = new Map();
  #sentence;

  /** @param {(sentence: {id: string, role: 'user' | 'model', text: string, first: boolean}) => void} sentence */
  constructor(sentence = () => {}) {
    this.#sentence = sentence;
  }

  /** Copies, oldest first. */
  get turns() {
    return this.#turns.map((turn) => ({ ...turn }));
  }

  /** A caption as it is now; the same id replaces. @param {Caption} caption */
  take(caption) {
    const at = this.#turns.findLastIndex(({ id }) => id === caption.id);
    if (at >= 0) this.#turns[at] = caption;
    else this.#insert(caption);
    if (caption.role === 'model') this.#tellAsked(caption);
    this.#tell(caption, caption.final);
  }

  /** One line per turn. */
  text() {
    return this.#turns.map(({ role, text }) => `${role === 'user' ? 'User' : 'Model'}: ${text.trim()}\n`).join('');
  }

  /** The turns as JSON; times are epoch milliseconds. */
  json() {
    return JSON.stringify(this.#turns, null, 2);
  }

  /**
   * The newest turns of one start as the wire's contents, for a session that does not know them.
   * @param {string} prefix of their ids
   * @param {number} typed the last typed line that went out: what comes after it will be said to the new session itself
   */
  contents(prefix, typed) {
    const found = [];
    let left = SEED_CHARACTERS;
    for (let at = this.#turns.length - 1; at >= 0; at--) {
      const { id, role, text } = this.#turns[at];
      if (Number(id.split(`${prefix}-typed-`)[1]) > typed) continue;
      left -= text.length;
      if (!id.startsWith(`${prefix}-`) || left < 0) break;
      found.unshift({ role, parts: [{ text }] });
    }
    return found;
  }

  /** The user's words may be written down later than the answer to them. @param {Caption} caption */
  #insert(caption) {
    const answer = caption.id.replace(/user$/, 'model');
    const at = caption.id === answer ? -1 : this.#turns.findLastIndex(({ id }) => id === answer);
    if (at >= 0) this.#turns.splice(at, 0, caption);
    else this.#turns.push(caption);
    if (this.#turns.length > KEPT_TURNS) this.#turns.shift();
  }

  /** An answer is heard, so that what it answers was said. @param {Caption} answer */
  #tellAsked(answer) {
    const id = answer.id.replace(/model$/, 'user');
    const asked = this.#turns.findLast((turn) => turn.id === id);
    if (asked) this.#tell(asked, true);
  }

  /** @param {Caption} caption @param {boolean} whole */
  #tell({ id, role, text, final }, whole) {
    const from = this.#told.get(id) ?? 0;
    const to = whole ? text.length : lastSentenceEnd(text);
    this.#told.set(id, Math.max(from, to));
    const words = text.slice(from, to).trim();
    if (words) this.#sentence({ id, role, text: words, first: from === 0 });
    if (this.#told.size > 99) this.#told.delete(this.#told.keys().next().value ?? '');
  }
}

/** @param {string} text */
function lastSentenceEnd(text) {
  let end = 0;
  for (const match of text.matchAll(SENTENCE_END)) end = match.index + match[0].length;
  return end;
}
