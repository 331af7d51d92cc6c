/**
 * The transcript: a bounded, ordered list of turns, and the sentences that are finished.
 * Leaves it to captions.js when words count as heard.
 */

/** @typedef {import('../shared/events.js').Caption} Caption */

/** An hour of quick talk has a few thousand turns. Beyond this number the oldest are dropped. */
const MAX_TURNS = 5000;
/** The end of a sentence, followed by more text: a bare "3." may still become "3.14". */
const SENTENCE_END = /[.!?…؟۔।॥]["'”’)\]]*\s|[。！？]/g;

export class Transcript {
  /** @type {Caption[]} */
  #turns = [];
  /** How many characters of each open caption were reported as sentences. @type {Map<string, number>} */
  #reported = new Map();
  #onSentence;

  /** @param {(sentence: {id: string, role: 'user' | 'model', text: string, first: boolean}) => void} onSentence */
  constructor(onSentence = () => {}) {
    this.#onSentence = onSentence;
  }

  /** Copies, oldest first. */
  get turns() {
    return this.#turns.map((turn) => ({ ...turn }));
  }

  /** Adds a caption, or replaces the one with the same id. @param {Caption} caption */
  update(caption) {
    const at = this.#turns.findLastIndex(({ id }) => id === caption.id);
    if (at >= 0) this.#turns[at] = caption;
    else this.#insert(caption);
    if (caption.role === 'model') this.#finishQuestion(caption);
    this.#reportSentences(caption, caption.final);
  }

  /** One line per turn. */
  text() {
    return this.#turns.map(({ role, text }) => `${role === 'user' ? 'User' : 'Model'}: ${text.trim()}\n`).join('');
  }

  /** The turns as JSON; times are epoch milliseconds. */
  json() {
    return JSON.stringify(this.#turns, null, 2);
  }

  /** The user's words may be transcribed later than the answer to them. @param {Caption} caption */
  #insert(caption) {
    const answerId = caption.id.replace(/user$/, 'model');
    const at = caption.id === answerId ? -1 : this.#turns.findLastIndex(({ id }) => id === answerId);
    if (at >= 0) this.#turns.splice(at, 0, caption);
    else this.#turns.push(caption);
    if (this.#turns.length > MAX_TURNS) this.#turns.shift();
  }

  /** An answer is heard, so the question before it is complete. @param {Caption} answer */
  #finishQuestion(answer) {
    const id = answer.id.replace(/model$/, 'user');
    const question = this.#turns.findLast((turn) => turn.id === id);
    if (question) this.#reportSentences(question, true);
  }

  /** @param {Caption} caption @param {boolean} whole */
  #reportSentences({ id, role, text }, whole) {
    const from = this.#reported.get(id) ?? 0;
    const to = whole ? text.length : from + lastSentenceEnd(text.slice(from));
    this.#reported.set(id, Math.max(from, to));
    const words = text.slice(from, to).trim();
    if (words) this.#onSentence({ id, role, text: words, first: from === 0 });
    if (this.#reported.size > 99) this.#reported.delete(this.#reported.keys().next().value ?? '');
  }
}

/** @param {string} text */
function lastSentenceEnd(text) {
  let end = 0;
  for (const match of text.matchAll(SENTENCE_END)) end = match.index + match[0].length;
  return end;
}
