/**
 * The developer panel: what just happened, the library's events, and code to paste. Loaded when it opens.
 */
import { byId, create } from '../common/dom.js';

import { PROGRAMS } from './get-code.js';
import { log } from './session-log.js';

/** The panel follows a call, but not each of its fifty events a second. */
const REDRAW_MS = 250;
/** The panel shows this many of the newest events. The log has more. */
const SHOWN_EVENTS = 60;

export class Developer {
  #panel = byId('developer-panel', HTMLDivElement);
  #steps = create('ol', '', 'steps');
  #events = create('ol', '', 'events');
  #nothing = create('p', 'Nothing yet. Each step appears here once you start talking.', 'quiet');
  #code = create('pre', '');
  #copied = create('span', '', 'quiet');
  #language = Object.keys(PROGRAMS)[0];
  #profile;
  #timer = 0;

  /** @param {() => string} profile the name of the chosen profile, or '' */
  constructor(profile) {
    this.#profile = profile;
    this.#panel.append(
      create('h2', 'What just happened'),
      this.#nothing,
      scrolling(this.#steps, 'What just happened'),
      this.#eventPart(),
      create('h2', 'Get code'),
      this.#languages(),
      scrolling(this.#code, 'Code'),
      this.#foot(),
    );
    log.onchange = () => {
      this.#timer ||= window.setTimeout(() => this.#draw(), REDRAW_MS);
    };
  }

  /** The panel has opened. */
  show() {
    this.#copied.textContent = '';
    this.#draw();
    this.#showCode();
  }

  #draw() {
    window.clearTimeout(this.#timer);
    this.#timer = 0;
    if (!byId('developer', HTMLDetailsElement).open) return;
    const { steps, events } = log;
    this.#nothing.hidden = steps.length > 0;
    this.#steps.hidden = steps.length === 0;
    this.#steps.replaceChildren(
      ...steps.map(({ ms, title, detail }) => {
        const words = document.createElement('div');
        words.append(create('strong', title), create('p', detail, 'quiet'));
        return item(ms, words);
      }),
    );
    const shown = events.slice(-SHOWN_EVENTS).reverse();
    // An event that someone has open stays as it is.
    if (this.#events.querySelector('details[open]')) return;
    this.#events.replaceChildren(...shown.map(({ ms, type, text }) => item(ms, eventDetails(type, text))));
  }

  /** The events, folded. */
  #eventPart() {
    const part = document.createElement('details');
    part.className = 'all-values';
    part.append(
      create('summary', 'Events'),
      create('p', 'The newest first. Audio, tokens and handles are hidden.', 'quiet'),
      scrolling(this.#events, 'Events'),
    );
    return part;
  }

  /** One button per language. */
  #languages() {
    const row = create('p', '', 'languages');
    row.setAttribute('role', 'group');
    row.setAttribute('aria-label', 'Language');
    for (const name of Object.keys(PROGRAMS)) {
      const button = create('button', name, 'button small');
      button.type = 'button';
      button.addEventListener('click', () => {
        this.#language = name;
        this.#showCode();
      });
      row.append(button);
    }
    return row;
  }

  #showCode() {
    for (const button of this.#panel.querySelectorAll('.languages button'))
      button.setAttribute('aria-pressed', String(button.textContent === this.#language));
    this.#code.textContent = PROGRAMS[this.#language]({ origin: window.location.origin, profile: this.#profile() });
    this.#copied.textContent = '';
  }

  #foot() {
    const foot = create('p', '', 'panel-foot');
    const copy = create('button', 'Copy code', 'button small primary');
    copy.type = 'button';
    copy.addEventListener('click', () => void this.#copy());
    this.#copied.setAttribute('role', 'status');
    foot.append(copy, link('/docs', 'HTTP API'), link('/ops', 'Operators'), this.#copied);
    return foot;
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#code.textContent ?? '');
      this.#copied.textContent = 'Copied';
    } catch {
      this.#copied.textContent = 'The browser blocked copying. Select the code and copy it yourself.';
    }
  }
}

/** @param {HTMLElement} content @param {string} label */
function scrolling(content, label) {
  const box = create('div', '', 'panel-scroll');
  box.tabIndex = 0;
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', label);
  box.append(content);
  return box;
}

/** @param {number} ms since the click @param {HTMLElement} content */
function item(ms, content) {
  const element = document.createElement('li');
  element.append(create('span', `${(ms / 1000).toFixed(2)} s`, 'quiet'), content);
  return element;
}

/** @param {string} type @param {string} text */
function eventDetails(type, text) {
  const details = document.createElement('details');
  const body = create('pre', text);
  body.tabIndex = 0;
  details.append(create('summary', type), body);
  return details;
}

/** @param {string} href @param {string} text */
function link(href, text) {
  const anchor = create('a', text);
  anchor.href = href;
  return anchor;
}
