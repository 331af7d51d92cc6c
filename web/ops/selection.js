/**
 * Chosen rows of a table, and the bar with what can be done to all of them at once.
 */
import { button, h } from './build.js';
import { openDialog } from './dialog.js';
import { explain } from './errors.js';

/**
 * @template T
 * @typedef {{text: string, danger?: boolean, run: (rows: T[]) => Promise<boolean>}} BulkAction
 */

/** @template T */
export class Selection {
  element;
  /** Chosen rows, by key. @type {Map<string, T>} */
  #chosen = new Map();
  #keyOf;
  #nameOf;
  #changed;
  /** The rows on the page. @type {T[]} */
  #rows = [];
  #all = h('input', { type: 'checkbox' });
  #told = h('span', { class: 'quiet', role: 'status' });

  /**
   * @param {(row: T) => string} keyOf
   * @param {(row: T) => string} nameOf
   * @param {BulkAction<T>[]} actions  `run` resolves with whether it was done; then the selection is emptied
   * @param {() => void} changed  draws the rows again
   */
  constructor(keyOf, nameOf, actions, changed) {
    this.#keyOf = keyOf;
    this.#nameOf = nameOf;
    this.#changed = changed;
    this.#all.addEventListener('change', () => {
      this.#chosen = new Map(this.#all.checked ? this.#rows.map((row) => [keyOf(row), row]) : []);
      this.#show();
      changed();
    });
    this.element = h(
      'div',
      { class: 'bulk', role: 'group', 'aria-label': 'Selected rows', hidden: true },
      h('label', {}, this.#all, 'Select all'),
      this.#told,
      ...actions.map(({ text, danger, run }) =>
        button(text, () => void this.#run(run), { class: `button small ${danger ? 'danger' : ''}` }),
      ),
    );
  }

  /** Forgets rows that are no longer there. @param {T[]} rows */
  show(rows) {
    this.#rows = rows;
    const current = new Map(rows.map((row) => [this.#keyOf(row), row]));
    for (const key of this.#chosen.keys()) {
      const row = current.get(key);
      if (row === undefined) this.#chosen.delete(key);
      else this.#chosen.set(key, row);
    }
    this.#show();
  }

  /** The first cell of a row with its checkbox. @param {T} row @param {Node} content */
  cell(row, content) {
    const key = this.#keyOf(row);
    return h(
      'span',
      { class: 'pick' },
      h('input', {
        type: 'checkbox',
        'aria-label': `Select ${this.#nameOf(row)}`,
        checked: this.#chosen.has(key),
        onchange: (/** @type {Event} */ { target }) => {
          const box = /** @type {HTMLInputElement} */ (target);
          // The table compares attributes: with this one the cell stays as it is, and keeps the focus.
          box.toggleAttribute('checked', box.checked);
          if (box.checked) this.#chosen.set(key, row);
          else this.#chosen.delete(key);
          this.#show();
        },
      }),
      content,
    );
  }

  #show() {
    const { size } = this.#chosen;
    this.element.hidden = size === 0;
    this.#all.checked = size > 0 && size === this.#rows.length;
    this.#all.indeterminate = size > 0 && size < this.#rows.length;
    this.#told.textContent = `${size} selected`;
  }

  /** @param {BulkAction<T>['run']} run */
  async #run(run) {
    if (!(await run([...this.#chosen.values()]))) return;
    this.#chosen.clear();
    this.#show();
    this.#changed();
    // The bar with the button is gone.
    /** @type {HTMLElement | null} */ (document.querySelector('#view h1'))?.focus();
  }
}

/**
 * Asks once, does the same to each row in turn, and says which failed.
 * @template T
 * @param {import('./view.js').ViewContext} context
 * @param {{
 *   title: string, done: string, action: string, danger?: boolean, further?: string, body: import('./build.js').Child[],
 *   fields?: import('./form.js').Field[], rows: T[], nameOf: (row: T) => string,
 *   each: (row: T, form: FormData) => Promise<unknown>,
 * }} options  `done`: a participle, such as "ended"
 */
export function openBulkDialog(context, { title, done, action, danger, further, body, fields, rows, nameOf, each }) {
  return openDialog(context, {
    title,
    body: [...body, h('p', { class: 'quiet names' }, rows.map(nameOf).join(', '))],
    fields,
    action,
    danger,
    further,
    async act(form) {
      const failures = [];
      for (const row of rows) {
        try {
          await each(row, form);
        } catch (error) {
          if (/** @type {{status?: number}} */ (error).status === 401) throw error;
          failures.push(h('li', {}, `${nameOf(row)}: ${explain(error).detail}`));
        }
      }
      const heading = `${rows.length - failures.length} of ${rows.length} ${done}`;
      context.announce(`${heading}.`);
      return {
        title: heading,
        body: failures.length > 0 ? [h('p', {}, 'Failed:'), h('ul', { class: 'plain' }, ...failures)] : [],
      };
    },
  });
}
