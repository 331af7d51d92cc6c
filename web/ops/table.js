/**
 * A table that keeps focus, selection and scroll position when its rows change. Rows are matched by key.
 */
import { h } from './build.js';

/**
 * `sort`: the name of the order that a click on the head asks for.
 * @template T
 * @typedef {{head: string, cell: (row: T) => import('./build.js').Child, kind?: 'number' | 'actions', sort?: string}} Column
 */

/** @template T */
export class Table {
  element;
  #columns;
  #keyOf;
  #body = h('tbody', { role: 'rowgroup' });
  #empty;
  #heads;
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();

  /**
   * @param {string} caption  for screen readers; others see the view's heading
   * @param {Column<T>[]} columns  the first is the row header
   * @param {(row: T) => string} keyOf
   * @param {string} none  the text of an empty table
   * @param {(order: string) => void} [onsort]
   */
  constructor(caption, columns, keyOf, none, onsort) {
    this.#columns = columns;
    this.#keyOf = keyOf;
    this.#empty = h('p', { class: 'none quiet' }, none);
    // On narrow screens rows become cards, and the browser drops the table semantics. The roles restore them.
    const heads = columns.map(({ head, kind, sort }) =>
      h(
        'th',
        { role: 'columnheader', scope: 'col', 'data-kind': kind, 'data-sort': sort },
        kind === 'actions' ? h('span', { class: 'visually-hidden' }, head) : head,
        sort &&
          h('button', {
            type: 'button',
            class: 'sort',
            'aria-label': `Sort by ${head}`,
            onclick: () => onsort?.(sort),
          }),
      ),
    );
    this.#heads = heads;
    this.element = h(
      'div',
      { class: 'table' },
      h(
        'table',
        { role: 'table' },
        h('caption', { class: 'visually-hidden' }, caption),
        h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...heads)),
        this.#body,
      ),
      this.#empty,
    );
    this.#empty.hidden = true;
  }

  /** The key of the row that has the focus, or null. */
  get focused() {
    for (const [key, row] of this.#rows) if (row.contains(document.activeElement)) return key;
    return null;
  }

  /** Shows by which column the rows are sorted. @param {string} order @param {'ascending' | 'descending'} direction */
  showOrder(order, direction) {
    for (const head of this.#heads) {
      if (head.dataset.sort === order) head.setAttribute('aria-sort', direction);
      else head.removeAttribute('aria-sort');
    }
  }

  /** @param {T[]} rows  in order, with unique keys */
  show(rows) {
    const keys = new Set(rows.map(this.#keyOf));
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    let next = this.#body.firstElementChild;
    for (const one of rows) {
      const row = this.#row(one);
      // Moving a row loses its focus, so a row in the right place is not moved.
      if (row === next) next = next.nextElementSibling;
      else this.#body.insertBefore(row, next);
    }
    this.#empty.hidden = rows.length > 0;
    this.element.firstElementChild?.toggleAttribute('hidden', rows.length === 0);
  }

  /** @param {T} one */
  #row(one) {
    const key = this.#keyOf(one);
    const known = this.#rows.get(key);
    if (known) {
      for (const [index, column] of this.#columns.entries()) replace(known.cells[index], column.cell(one));
      return known;
    }
    const row = h(
      'tr',
      { role: 'row' },
      ...this.#columns.map(({ head, cell, kind }, index) =>
        index === 0
          ? h('th', { role: 'rowheader', scope: 'row', 'data-label': head }, cell(one))
          : h('td', { role: 'cell', 'data-label': head, 'data-kind': kind }, cell(one)),
      ),
    );
    this.#rows.set(key, row);
    return row;
  }
}

/**
 * Leaves an equal cell alone, which keeps the focus and the selection.
 * @param {HTMLTableCellElement} cell
 * @param {import('./build.js').Child} fresh
 */
function replace(cell, fresh) {
  const node = typeof fresh === 'string' ? document.createTextNode(fresh) : fresh || document.createTextNode('');
  if (cell.firstChild?.isEqualNode(node)) return;
  const had = cell.contains(document.activeElement);
  cell.replaceChildren(node);
  if (!had) return;
  // Without a control in the cell, the focus stays in the row.
  const control = cell.querySelector('button, input, a') ?? cell.parentElement?.querySelector('button, input, a');
  if (control instanceof HTMLElement) control.focus();
}
