/**
 * The one place where the page says that something went wrong, and what to do next.
 * Owns: #notice and the countdown of a refusal that names its seconds. Leaves: what an action does to main.js.
 */
import { byId, create } from '../common/dom.js';

import { ACTION_LABELS } from './errors.js';

/** @typedef {import('./errors.js').Action} Action */
/** @typedef {import('./errors.js').Explanation} Explanation */

export class Notice {
  #box = byId('notice', HTMLDivElement);
  #title = byId('notice-title', HTMLParagraphElement);
  #detail = byId('notice-detail', HTMLParagraphElement);
  /** The place of what can be done. */
  actions = byId('notice-actions', HTMLParagraphElement);
  #act;
  /** The code that is shown, or ''. */
  code = '';

  /** @param {(action: Action) => void} act */
  constructor(act) {
    this.#act = act;
  }

  /** @param {Explanation} explanation */
  show({ code, title, detail, actions }) {
    this.code = code;
    this.#box.dataset.code = code;
    this.actions.replaceChildren(...actions.map((action, index) => this.#button(action, index === 0)));
    this.#box.hidden = false;
    this.#title.textContent = title;
    this.#detail.textContent = detail;
    // Looked up without being asked for; the button stands for the case that it fails.
    if (actions.includes('other-sessions')) this.#act('other-sessions');
  }

  clear() {
    this.code = '';
    this.#box.hidden = true;
    this.#title.textContent = '';
    this.#detail.textContent = '';
    this.actions.replaceChildren();
    delete this.#box.dataset.code;
  }

  /** While someone must wait, there is nothing to try; the Talk button counts. @param {boolean} waiting */
  hold(waiting) {
    for (const button of this.actions.querySelectorAll('button')) {
      button.hidden = waiting && button.dataset.action === 'retry';
    }
  }

  /**
   * @param {Action} action
   * @param {boolean} first
   */
  #button(action, first) {
    const button = create('button', ACTION_LABELS[action], first ? 'button small primary' : 'button small');
    button.type = 'button';
    button.dataset.action = action;
    button.addEventListener('click', () => this.#act(action));
    return button;
  }
}
