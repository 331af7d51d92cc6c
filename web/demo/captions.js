/**
 * Shows the conversation as text, one list item per turn that grows in place, and scrolls it.
 * announcer.js decides what a screen reader hears.
 */
import { byId, create } from '../common/dom.js';

/**
 * @typedef {{id: string, role: 'user' | 'model', text: string, final: boolean, interrupted?: boolean, typed?: boolean,
 *   language?: string, speaker?: string}} Caption
 */
/** @typedef {{item: HTMLLIElement, label: HTMLElement, words: HTMLElement, before: string}} Line
 * `words`: the last paragraph; `before`: the text of the earlier ones */

/** @type {Record<Caption['role'], string>} */
const NAMES = { user: 'You', model: 'Assistant' };

/** Within this distance from the end the list follows new text. Further up, someone is reading. */
const FOLLOW_WITHIN_PX = 80;
/** The most lines on the page. An hour has hundreds, at about ten kilobytes each. The saved transcript has them all. */
const MOST_LINES = 60;
/** The most characters shown of a function's arguments. */
const MOST_ARGUMENTS = 200;
/** The most characters shown of a turn: its newest. A browser takes seconds to lay out a megabyte. The file has them all. */
const MOST_CHARACTERS = 20_000;
/** A longer paragraph goes on in another one, because a browser lays out the whole paragraph again for each new word. */
const PARAGRAPH_CHARACTERS = 1000;
/** A language as HTML names it. */
const LANGUAGE = /^[a-z]{2,8}(-[a-z0-9]{1,8})*$/i;

export class Captions {
  #list;
  #scroll;
  #whenFilled;
  /** @type {Map<string, Line>} */
  #lines = new Map();
  #following = true;
  /** Where the box was, and how large it and its content were, when the page last looked. */
  #seen = { top: 0, box: 0, content: 0 };
  #newest = byId('newest', HTMLButtonElement);
  /** Cards of running functions, by call id. @type {Map<string, {card: HTMLElement, label: HTMLElement}>} */
  #tools = new Map();

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} scroll  the box that scrolls
   * @param {(filled: boolean) => void} whenFilled  called with true at the first line, and with false after `clear`
   */
  constructor(list, scroll, whenFilled) {
    this.#list = list;
    this.#scroll = scroll;
    this.#whenFilled = whenFilled;
    // The box or its content changes size when a preview appears, or a phone is turned. The last line stays in view.
    const observer = new ResizeObserver(() => this.#follow());
    for (const element of [scroll, list]) observer.observe(element);
    scroll.addEventListener('scroll', () => this.#scrolled());
    this.#newest.addEventListener('click', () => {
      this.#setFollowing(true);
      this.#follow();
      scroll.focus(); // the button disappears
    });
  }

  /** Someone reads further up only if they scrolled up. The browser scrolls too when a size changes. */
  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroll;
    const { top, box, content } = this.#seen;
    if (clientHeight !== box || scrollHeight !== content) return this.#follow();
    this.#seen.top = scrollTop;
    if (scrollHeight - scrollTop - clientHeight < FOLLOW_WITHIN_PX) this.#setFollowing(true);
    else if (scrollTop < top) this.#setFollowing(false);
  }

  /** @param {boolean} following */
  #setFollowing(following) {
    this.#following = following;
    this.#newest.hidden = following;
  }

  /** Shows a turn, or updates its text. @param {Caption} caption */
  show(caption) {
    if (!caption.text.trim()) return;
    this.#change(() => {
      const line = this.#lines.get(caption.id) ?? this.#add(caption);
      setLine(line, newest(caption.text));
      // It comes with the finished words, after the guesses.
      if (caption.speaker) line.label.textContent = caption.speaker.replace(/^spk_/, 'Speaker ');
      if (LANGUAGE.test(caption.language ?? '')) line.words.lang = caption.language ?? '';
      line.item.toggleAttribute('data-final', caption.final);
      line.item.toggleAttribute('data-interrupted', Boolean(caption.interrupted));
    });
  }

  /** Adds a card for a function that the model calls. @param {{id: string, name: string, args: object}} call */
  tool({ id, name, args }) {
    const label = create('p', `Using ${name}…`);
    const card = this.#card([label]);
    card.dataset.tool = 'running';
    const given = JSON.stringify(args);
    if (given !== '{}') card.append(create('code', given.slice(0, MOST_ARGUMENTS)));
    this.#tools.set(id, { card, label });
  }

  /** @param {string} id @param {'done' | 'failed' | 'cancelled'} state @param {string} text */
  toolEnded(id, state, text) {
    const tool = this.#tools.get(id);
    if (!tool) return;
    this.#tools.delete(id);
    tool.card.dataset.tool = state;
    tool.label.textContent = text;
  }

  /** Adds a card with the sources of an answer. The library passes on https links only. @param {{title: string, url: string}[]} links */
  sources(links) {
    if (links.length === 0) return;
    this.#card([
      create('p', 'Sources'),
      ...links.map(({ title, url }) => {
        const link = create('a', title);
        const { hostname } = new URL(url);
        link.href = url;
        link.rel = 'noopener noreferrer';
        link.target = '_blank';
        link.dir = 'auto';
        // A title may name another site than the address.
        return title === hostname ? link : withHost(link, hostname);
      }),
    ]);
  }

  /** Adds an item about the conversation itself. @param {HTMLElement[]} content */
  add(...content) {
    this.#card(content);
  }

  clear() {
    this.#tools.clear();
    this.#list.replaceChildren();
    this.#lines.clear();
    this.#setFollowing(true);
    this.#whenFilled(false);
  }

  /** @param {HTMLElement[]} content */
  #card(content) {
    const card = create('li', '', 'card');
    card.append(...content);
    this.#change(() => this.#list.append(card));
    return card;
  }

  /** @param {Caption} caption */
  #add({ id, role, typed }) {
    if (typed) this.#setFollowing(true); // who sends a line wants to see the answer
    const item = document.createElement('li');
    item.dataset.role = role;
    const words = paragraph();
    const label = create('span', NAMES[role], 'speaker');
    item.append(label, words);
    this.#list.append(item);
    const line = { item, label, words, before: '' };
    this.#lines.set(id, line);
    return line;
  }

  /** @param {() => void} change */
  #change(change) {
    change();
    if (this.#following) this.#dropOldLines(); // not while someone reads further up
    this.#whenFilled(true);
    this.#follow();
  }

  #dropOldLines() {
    while (this.#list.childElementCount > MOST_LINES) this.#list.firstElementChild?.remove();
    for (const [id, { item }] of this.#lines) {
      if (this.#lines.size <= MOST_LINES) break;
      if (!item.isConnected) this.#lines.delete(id);
    }
  }

  #follow() {
    const box = this.#scroll;
    if (this.#following) box.scrollTop = box.scrollHeight;
    this.#seen = { top: box.scrollTop, box: box.clientHeight, content: box.scrollHeight };
  }
}

function paragraph() {
  const words = create('p', '', 'words');
  words.dir = 'auto';
  return words;
}

/** @param {Line} line @param {string} text */
function setLine(line, text) {
  if (!text.startsWith(line.before)) {
    for (const earlier of [...line.item.querySelectorAll('.words')]) if (earlier !== line.words) earlier.remove();
    line.before = '';
  }
  let rest = text.slice(line.before.length);
  while (rest.length > PARAGRAPH_CHARACTERS) {
    const end = rest.lastIndexOf(' ', PARAGRAPH_CHARACTERS) + 1 || PARAGRAPH_CHARACTERS;
    setText(line.words, rest.slice(0, end));
    line.before += rest.slice(0, end);
    rest = rest.slice(end);
    line.words = paragraph();
    line.item.append(line.words);
  }
  setText(line.words, rest);
}

/** @param {HTMLElement} link @param {string} host */
function withHost(link, host) {
  const line = create('span', '', 'source');
  line.append(link, create('small', host, 'quiet'));
  return line;
}

/** The end of a very long text. Whole steps, so that it does not move with each word. @param {string} text */
function newest(text) {
  if (text.length <= MOST_CHARACTERS) return text;
  return `…${text.slice(Math.floor(text.length / MOST_CHARACTERS - 0.5) * MOST_CHARACTERS)}`;
}

/**
 * Appends the new part instead of replacing the text, so that a selection in a growing line survives. A translation by
 * the browser, which replaces the text with elements of its own, is replaced in turn and made anew.
 * @param {HTMLElement} words
 * @param {string} text
 */
function setText(words, text) {
  const [node, more] = words.childNodes;
  if (node instanceof Text && !more && text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else words.textContent = text;
}
