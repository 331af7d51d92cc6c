/**
 * The search above a list: loads the list again a moment after somebody has typed, and at once on Enter.
 */
import { h } from './build.js';
import { field } from './form.js';

/** Long enough to type a word without a request in between. */
const TYPING_MS = 250;

export class Search {
  #field;
  #timer = 0;
  element;

  /**
   * @param {string} list  what is searched, for screen readers
   * @param {() => void} changed
   * @param {import('./build.js').Attributes} attributes  of the field: its value, bounds and placeholder
   * @param {import('./build.js').Child[]} others  what stands beside the field
   */
  constructor(list, changed, attributes, ...others) {
    const later = () => {
      this.close();
      this.#timer = window.setTimeout(changed, TYPING_MS);
    };
    const fixed = { type: 'search', name: 'query', autocomplete: 'off', spellcheck: 'false', oninput: later };
    this.#field = field('Search', h('input', { ...fixed, ...attributes }));
    this.element = h(
      'form',
      {
        class: 'filters',
        role: 'search',
        'aria-label': list,
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          this.close();
          changed();
        },
      },
      this.#field.element,
      ...others,
    );
  }

  /** The text, without blanks around it. */
  get query() {
    return this.#field.control.value.trim();
  }

  close() {
    window.clearTimeout(this.#timer);
  }
}
