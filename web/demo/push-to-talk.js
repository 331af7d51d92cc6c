/**
 * Push-to-talk: tracks whether the button or the space bar is held. The library decides what that means.
 * A click without a pointer (Enter, a screen reader, a switch) cannot be held, so it starts the turn, and the next ends it.
 */

/** Elements that use the space bar themselves. `summary` is not one: Enter opens it too, and it has the focus after a panel closes. */
const USES_SPACE = 'input, textarea, select, button, a, [tabindex]';

export class PushToTalk {
  #button;
  #press;
  #pressed = false;

  /** @param {HTMLButtonElement} button @param {(pressed: boolean) => void} press */
  constructor(button, press) {
    this.#button = button;
    this.#press = press;
    button.addEventListener('pointerdown', ({ pointerId }) => {
      button.setPointerCapture(pointerId); // keeps the press when the finger slides off
      this.#set(true);
    });
    for (const type of ['pointerup', 'pointercancel', 'blur']) button.addEventListener(type, () => this.#set(false));
    button.addEventListener('click', ({ detail }) => {
      if (detail === 0) this.#set(!this.#pressed);
    });
    button.addEventListener('contextmenu', (event) => event.preventDefault()); // opened by a long touch
    document.addEventListener('keydown', (event) => this.#key(event, true));
    document.addEventListener('keyup', (event) => this.#key(event, false));
    window.addEventListener('blur', () => this.#set(false));
  }

  /** @param {KeyboardEvent} event @param {boolean} down */
  #key(event, down) {
    if (event.code !== 'Space') return;
    if (this.#button.hidden) return this.release();
    const { target } = event;
    const otherControl = target instanceof Element && target !== this.#button && target.closest(USES_SPACE);
    if (otherControl && !this.#pressed) return;
    event.preventDefault();
    if (!event.repeat) this.#set(down);
  }

  /** Releases the button, even if it is still held down. */
  release() {
    this.#set(false);
  }

  /** @param {boolean} pressed */
  #set(pressed) {
    if (pressed === this.#pressed || (pressed && this.#button.hidden)) return;
    this.#pressed = pressed;
    this.#button.toggleAttribute('data-pressed', pressed);
    this.#button.setAttribute('aria-pressed', String(pressed));
    this.#button.textContent = pressed ? 'Listening…' : 'Hold to talk';
    this.#press(pressed);
  }
}
