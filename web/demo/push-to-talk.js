/**
 * Push-to-talk: the button under a finger, a mouse or a key, and the space bar wherever it means nothing else.
 * Owns: whether it is pressed. Leaves: what that means to the library.
 */

/** Where the space bar has a meaning of its own. A panel's handle opens with Enter, too, and has the focus once it is closed. */
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
      button.setPointerCapture(pointerId); // a finger may slide off it
      this.#set(true);
    });
    for (const type of ['pointerup', 'pointercancel', 'blur']) button.addEventListener(type, () => this.#set(false));
    button.addEventListener('contextmenu', (event) => event.preventDefault()); // a long touch
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

  /** Whatever is held: nobody is heard any more. */
  release() {
    this.#set(false);
  }

  /** @param {boolean} pressed */
  #set(pressed) {
    if (pressed === this.#pressed || (pressed && this.#button.hidden)) return;
    this.#pressed = pressed;
    this.#button.toggleAttribute('data-pressed', pressed);
    this.#button.textContent = pressed ? 'Listening…' : 'Hold to talk';
    this.#press(pressed);
  }
}
