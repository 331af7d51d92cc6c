/**
 * Shows the current error and its actions. main.js runs the actions.
 */
import { byId, create } from '../common/dom.js';

import { ACTION_LABELS } from './errors.js';

/** @typedef {import('./errors.js').Action} Action */
/** @typedef {import('./errors.js').Explanation} Explanation */

export class Notice {
  #box = byId('notice', HTMLDivElement);
  #title = byId('notice-title', HTMLParagraphElement);
  #detail = byId('notice-detail', HTMLParagraphElement);
  /** Holds the action buttons. */
  actions = byId('notice-actions', HTMLParagraphElement);
  #act;
  /** The error code on display, or ''. */
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
    // Runs at once. The button remains in case it fails.
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

  /** Hides "Try again" during a wait. The Talk button shows the countdown. @param {boolean} waiting */
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
