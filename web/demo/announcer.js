/**
 * Speaks to screen readers through one polite live region: short status messages and finished sentences.
 * Urgent errors go to notice.js, which is an alert.
 */
import { create } from '../common/dom.js';

/** The most characters of a text. Nobody listens to more at once. */
const MOST_CHARACTERS = 2000;
/** The most sentences kept in the region. A screen reader speaks only what is added. */
const KEEP = 12;

/** @type {Record<string, string>} */
const SPEAKERS = { user: 'You: ', model: '' };

export class Announcer {
  #region;

  /** @param {HTMLElement} region */
  constructor(region) {
    this.#region = region;
  }

  /** @param {string} text */
  say(text) {
    const line = create('p', text.slice(-MOST_CHARACTERS));
    line.dir = 'auto';
    this.#region.append(line);
    while (this.#region.childElementCount > KEEP) this.#region.firstElementChild?.remove();
  }

  /** @param {{id: string, role: string, text: string, first: boolean}} sentence */
  sentence({ role, text, first }) {
    this.say((first ? (SPEAKERS[role] ?? '') : '') + text);
  }

  clear() {
    this.#region.replaceChildren();
  }
}
