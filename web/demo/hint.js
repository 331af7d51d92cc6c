/**
 * One line about something to know while the conversation goes on; the page's errors are the notice's.
 * Owns: #hint. Leaves: what its buttons do to whoever shows it.
 */
import { byId, create } from '../common/dom.js';

export class Hint {
  #bar = byId('hint', HTMLDivElement);
  /** What the line is about, so that its end takes away this line and no other. */
  #about = '';

  /**
   * @param {string} about
   * @param {string} text
   * @param {Record<string, () => void>} [actions] by the label of their buttons
   */
  show(about, text, actions = {}) {
    this.#about = about;
    const buttons = Object.entries({ ...actions, Close: () => {} }).map(([label, act]) => {
      const button = create('button', label, 'button small');
      button.type = 'button';
      button.addEventListener('click', () => {
        this.clear();
        act();
      });
      return button;
    });
    this.#bar.hidden = false;
    this.#bar.replaceChildren(create('p', text), ...buttons);
  }

  /** @param {string} [about] only if the line is about this */
  clear(about = this.#about) {
    if (about !== this.#about) return;
    this.#about = '';
    this.#bar.hidden = true;
    this.#bar.replaceChildren();
  }
}
