/**
 * Shows the current error and its actions. main.js runs the actions.
 */
import { clockWords } from '../common/countdown.js';
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
  /** Outside the alert, or a screen reader would read each second. */
  #wait = create('p', '', 'notice-wait');
  #act;
  /** The error code on display, or ''. */
  code = '';

  /** @param {(action: Action) => void} act */
  constructor(act) {
    this.#act = act;
    this.#wait.hidden = true;
    this.actions.before(this.#wait);
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
    this.hold(0);
    this.#box.hidden = true;
    this.#title.textContent = '';
    this.#detail.textContent = '';
    this.actions.replaceChildren();
    delete this.#box.dataset.code;
  }

  /** Counts a wait down, without "Try again". 0: it is over. @param {number} seconds */
  hold(seconds) {
    const waiting = seconds > 0;
    this.#wait.hidden = !waiting;
    this.#wait.textContent = waiting ? `You can start again in ${clockWords(seconds)}.` : '';
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
