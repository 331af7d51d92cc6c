/**
 * What a screen reader says: short status words, and captions one finished sentence at a time.
 * Owns: the one polite live region. Leaves: urgent errors to the notice, which is an alert of its own.
 */
import { create } from '../common/dom.js';

/** Earlier sentences are dropped from the region; a reader only speaks what is added. */
const KEEP = 12;

/** A sentence end that more text already follows; a bare "3." at the end may still become "3.14". */
const SENTENCE_END = /[.!?…]["'”’)\]]*\s|[。！？]/g;

/** @type {Record<string, string>} */
const SPEAKERS = { user: 'You: ', model: '' };

export class Announcer {
  #region;
  /** How much of each caption has been said. @type {Map<string, number>} */
  #said = new Map();

  /** @param {HTMLElement} region */
  constructor(region) {
    this.#region = region;
  }

  /** @param {string} text */
  say(text) {
    this.#region.append(create('p', text));
    while (this.#region.childElementCount > KEEP) this.#region.firstElementChild?.remove();
  }

  /** @param {{id: string, role: string, text: string, final: boolean}} caption */
  caption({ id, role, text, final }) {
    const said = this.#said.get(id) ?? 0;
    const end = final ? text.length : lastSentenceEnd(text);
    if (end <= said) return;
    this.#said.set(id, end);
    const words = text.slice(said, end).trim();
    if (words) this.say((said === 0 ? SPEAKERS[role] ?? '' : '') + words);
  }

  clear() {
    this.#region.replaceChildren();
    this.#said.clear();
  }
}

/**
 * Where the last finished sentence of a growing text ends.
 * @param {string} text
 */
function lastSentenceEnd(text) {
  let end = 0;
  for (const match of text.matchAll(SENTENCE_END)) end = match.index + match[0].length;
  return end;
}
