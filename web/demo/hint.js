/**
 * Shows one line of advice during a conversation, with buttons. Errors go to notice.js.
 */
import { byId, create } from '../common/dom.js';

export class Hint {
  #bar = byId('hint', HTMLDivElement);
  /** The topic of the current line, so that `clear(topic)` removes this line and no other. */
  #topic = '';

  /**
   * @param {string} topic
   * @param {string} text
   * @param {Record<string, () => void>} [actions] by button label
   */
  show(topic, text, actions = {}) {
    this.#topic = topic;
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

  /** @param {string} [topic] clear only a line on this topic */
  clear(topic = this.#topic) {
    if (topic !== this.#topic) return;
    this.#topic = '';
    this.#bar.hidden = true;
    this.#bar.replaceChildren();
  }
}
