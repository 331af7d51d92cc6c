/**
 * The conversation as text: one list item per turn, growing in place.
 * Owns: #captions and how it scrolls. Leaves: what a screen reader hears to announcer.js.
 */
import { create } from '../common/dom.js';

/** @typedef {{id: string, role: 'user' | 'model', text: string, final: boolean, interrupted?: boolean}} Caption */
/** @typedef {{item: HTMLLIElement, text: Text}} Line */

/** @type {Record<Caption['role'], string>} */
const NAMES = { user: 'You', model: 'Assistant' };

/** Nearer to the end than this, the list follows new text; further up, someone is reading. */
const FOLLOW_WITHIN_PX = 80;

export class Captions {
  #list;
  #scroll;
  #whenFilled;
  /** @type {Map<string, Line>} */
  #lines = new Map();
  #following = true;

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} scroll  the box that scrolls
   * @param {(filled: boolean) => void} whenFilled  the page makes room for the first line
   */
  constructor(list, scroll, whenFilled) {
    this.#list = list;
    this.#scroll = scroll;
    this.#whenFilled = whenFilled;
    // The box shrinks when something above it appears; the last words stay in view then too.
    new ResizeObserver(() => this.#follow()).observe(scroll);
    scroll.addEventListener('scroll', () => {
      this.#following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < FOLLOW_WITHIN_PX;
    });
  }

  /** Shows a turn, or its new text. @param {Caption} caption */
  show(caption) {
    if (!caption.text.trim()) return;
    this.#change(() => {
      const line = this.#lines.get(caption.id) ?? this.#add(caption);
      setText(line.text, caption.text);
      line.item.toggleAttribute('data-final', caption.final);
      line.item.toggleAttribute('data-interrupted', Boolean(caption.interrupted));
    });
  }

  /** A quiet line between turns: a helper ran, a new conversation began. @param {string} text */
  note(text) {
    this.#change(() => this.#list.append(create('li', text, 'aside')));
  }

  clear() {
    this.#list.replaceChildren();
    this.#lines.clear();
    this.#following = true;
    this.#whenFilled(false);
  }

  /** @param {Caption} caption */
  #add({ id, role }) {
    const item = document.createElement('li');
    item.dataset.role = role;
    const words = create('p', '', 'words');
    const text = document.createTextNode('');
    words.append(text);
    item.append(create('span', NAMES[role], 'who'), words);
    this.#list.append(item);
    const line = { item, text };
    this.#lines.set(id, line);
    return line;
  }

  /** @param {() => void} change */
  #change(change) {
    change();
    this.#whenFilled(true);
    this.#follow();
  }

  #follow() {
    if (this.#following) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}

/**
 * Appends what is new instead of replacing all, so that a selection in a growing line survives.
 * @param {Text} node
 * @param {string} text
 */
function setText(node, text) {
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}
