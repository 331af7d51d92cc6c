/**
 * Shows a failed request next to what failed, as an alert, with a countdown where the broker asks for a wait.
 * If only a new sign-in helps, it opens the sign-in form.
 */
import { Countdown, clockWords } from '../common/countdown.js';

import { button, h } from './build.js';
import { explain } from './errors.js';

/** Error codes after which only a sign-in helps. */
const SIGN_IN_AGAIN = new Set([
  'missing-credentials',
  'invalid-token',
  'token-expired',
  'account-blocked',
  'forbidden',
]);

export class ErrorBox {
  element = h('div', { class: 'error-box', role: 'alert' });
  #countdown = new Countdown();
  #context;

  /** @param {import('./view.js').ViewContext} context */
  constructor(context) {
    this.#context = context;
  }

  /**
   * @param {unknown} error
   * @param {() => void} [retry]  run by a "Try again" button, after the wait that the broker asked for
   */
  show(error, retry) {
    if (error instanceof DOMException && error.name === 'AbortError') return;
    const explanation = explain(error);
    const { title, detail, code, requestId, retryAfterSeconds } = explanation;
    const again =
      retry &&
      button('Try again', () => {
        this.clear();
        retry();
      });
    this.#countdown.stop();
    this.element.dataset.code = code;
    this.element.replaceChildren(
      h('div', {}, h('strong', {}, `${title}.`), ' ', detail, requestId && h('small', {}, `Request ID ${requestId}`)),
      again ?? '',
    );
    if (again && retryAfterSeconds > 0) this.#hold(again, retryAfterSeconds);
    if (SIGN_IN_AGAIN.has(code)) this.#context.signedOut(explanation);
  }

  clear() {
    this.#countdown.stop();
    delete this.element.dataset.code;
    this.element.replaceChildren();
  }

  /** @param {HTMLButtonElement} again @param {number} seconds */
  #hold(again, seconds) {
    again.disabled = true;
    this.#countdown.start(
      seconds,
      (leftSeconds) => {
        again.textContent = `Try again in ${clockWords(leftSeconds)}`;
      },
      () => {
        again.textContent = 'Try again';
        again.disabled = false;
      },
    );
  }
}
