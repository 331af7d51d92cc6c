/**
 * What a screen reader says: short status words, and finished sentences as the library gives them.
 * Owns: the one polite live region. Leaves: urgent errors to the notice, which is an alert of its own.
 */
import { create } from '../common/dom.js';

/** Earlier sentences are dropped from the region; a reader only speaks what is added. */
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
    this.#region.append(create('p', text));
    while (this.#region.childElementCount > KEEP) this.#region.firstElementChild?.remove();
  }

  /** @param {{id: string, role: string, text: string, first: boolean}} sentence */
  sentence({ role, text, first }) {
    this.say((first ? SPEAKERS[role] ?? '' : '') + text);
  }

  clear() {
    this.#region.replaceChildren();
  }
}
