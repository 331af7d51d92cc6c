/**
 * The connection's numbers, for whoever looks into a problem, and a button that copies them.
 * Owns: #diagnostics. Needs: the library's plain object. Nothing that opens a door is ever shown or copied.
 */
import { byId, create } from './dom.js';

/** Belt and braces: the library reports no credential, and one that slipped in would stop here. */
const SECRET = /token|handle|auth|cookie|csrf/i;

/** @typedef {{[name: string]: unknown}} Report */

export class Diagnostics {
  #details = byId('diagnostics', HTMLDetailsElement);
  #list = byId('diagnostics-list', HTMLDListElement);
  #empty = byId('diagnostics-empty', HTMLParagraphElement);
  #copied = byId('diagnostics-copied', HTMLSpanElement);
  /** @type {[string, string][]} */
  #rows = [];

  /** @param {() => Report} read */
  constructor(read) {
    this.#details.addEventListener('toggle', () => {
      this.#copied.textContent = '';
      if (this.#details.open) this.show(read());
    });
    byId('diagnostics-copy', HTMLButtonElement).addEventListener('click', () => void this.#copy(read()));
    document.addEventListener('keydown', (event) => this.#closeOnEscape(event));
    document.addEventListener('click', (event) => {
      if (event.target instanceof Node && !this.#details.contains(event.target)) this.#details.open = false;
    });
  }

  /** @param {Report} report */
  show(report) {
    if (!this.#details.open) return;
    this.#rows = flatten(report);
    this.#list.hidden = this.#rows.length === 0;
    this.#empty.hidden = this.#rows.length > 0;
    this.#list.replaceChildren(...this.#rows.map(([name, value]) => {
      const row = document.createElement('div');
      row.append(create('dt', name), create('dd', value));
      return row;
    }));
  }

  /** @param {Report} report */
  async #copy(report) {
    const lines = [...flatten(report), ['browser', navigator.userAgent], ['at', new Date().toISOString()]];
    try {
      await navigator.clipboard.writeText(lines.map(([name, value]) => `${name}: ${value}`).join('\n'));
      this.#copied.textContent = 'Copied';
    } catch {
      this.#copied.textContent = 'The browser did not allow it. Select the values to copy them.';
    }
  }

  /** @param {KeyboardEvent} event */
  #closeOnEscape(event) {
    if (event.key !== 'Escape' || !this.#details.open) return;
    this.#details.open = false;
    this.#details.querySelector('summary')?.focus();
  }
}

/**
 * Nested values as one flat list of words: `playback.underruns` becomes "playback underruns".
 * @param {Report} report
 * @param {string} prefix
 * @returns {[string, string][]}
 */
function flatten(report, prefix = '') {
  return Object.entries(report).flatMap(([key, value]) => {
    if (SECRET.test(key) || value === undefined || value === null || value === '') return [];
    const name = `${prefix}${key.replace(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase()}`;
    if (typeof value === 'object') return flatten(/** @type {Report} */ (value), `${name} `);
    const shown = typeof value === 'number' && !Number.isInteger(value) ? value.toFixed(value < 1 ? 3 : 1) : String(value);
    return [/** @type {[string, string]} */ ([name, shown])];
  });
}
