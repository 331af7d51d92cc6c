/**
 * The sign-in form with its errors, the wait after too many attempts, and the button that shows the password.
 * The page decides what happens after a sign-in.
 */
import { Countdown, clockWords } from './countdown.js';
import { byId } from './dom.js';

/** @typedef {{code: string, title: string, detail: string, retryAfterSeconds: number}} Explanation */

export class SignInForm {
  #form = byId('sign-in', HTMLFormElement);
  #username = byId('username', HTMLInputElement);
  #password = byId('password', HTMLInputElement);
  #submit = byId('sign-in-submit', HTMLButtonElement);
  #error = byId('sign-in-error', HTMLParagraphElement);
  #showPasswordButton = byId('show-password', HTMLButtonElement);
  /** Only where `broker dev` runs the stand-in. */
  #demo = document.getElementById('demo-sign-in');
  #countdown = new Countdown();
  #busy = false;
  #api;
  #explain;
  #enter;

  /**
   * @param {import('./api.js').Api} api
   * @param {(error: unknown) => Explanation} explain
   * @param {() => Promise<void>} enter  called once signed in
   */
  constructor(api, explain, enter) {
    this.#api = api;
    this.#explain = explain;
    this.#enter = enter;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#signIn();
    });
    this.#demo?.addEventListener('click', () => {
      this.#username.value = this.#demo?.dataset.username ?? '';
      this.#password.value = this.#demo?.dataset.password ?? '';
      void this.#signIn();
    });
    this.#showPasswordButton.addEventListener('click', () =>
      this.#setPasswordShown(this.#password.type === 'password'),
    );
  }

  /** Shows an empty form, with the reason if the person was signed in before. @param {string} [reason] */
  show(reason = '') {
    this.#error.textContent = reason;
    this.#password.value = '';
    this.#setPasswordShown(false);
    (this.#demo ?? this.#username).focus();
  }

  async #signIn() {
    if (this.#busy || this.#countdown.running) return;
    this.#setBusy(true);
    this.#error.textContent = '';
    try {
      await this.#api.login(this.#username.value.trim(), this.#password.value);
      await this.#enter();
      this.#password.value = '';
      this.#setPasswordShown(false);
    } catch (error) {
      this.#showError(this.#explain(error));
    } finally {
      this.#setBusy(false);
    }
  }

  /** @param {Explanation} explanation */
  #showError({ code, title, detail, retryAfterSeconds }) {
    this.#error.textContent = `${title}. ${detail}`;
    const wrong = code === 'bad-login';
    for (const input of [this.#username, this.#password]) input.setAttribute('aria-invalid', String(wrong));
    if (wrong) this.#password.select();
    if (retryAfterSeconds === 0) return;
    this.#submit.setAttribute('aria-disabled', 'true');
    this.#countdown.start(
      retryAfterSeconds,
      (left) => {
        this.#submit.textContent = `Try again in ${clockWords(left)}`;
      },
      () => {
        this.#submit.removeAttribute('aria-disabled');
        this.#submit.textContent = 'Sign in';
      },
    );
  }

  /** @param {boolean} busy */
  #setBusy(busy) {
    this.#busy = busy;
    this.#form.setAttribute('aria-busy', String(busy));
    if (!this.#countdown.running) this.#submit.textContent = busy ? 'Signing in…' : 'Sign in';
    if (busy) for (const input of [this.#username, this.#password]) input.removeAttribute('aria-invalid');
  }

  /** @param {boolean} shown */
  #setPasswordShown(shown) {
    this.#password.type = shown ? 'text' : 'password';
    this.#showPasswordButton.textContent = shown ? 'Hide' : 'Show';
    this.#showPasswordButton.setAttribute('aria-label', shown ? 'Hide password' : 'Show password');
  }
}
