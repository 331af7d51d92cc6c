/**
 * A ranking with bars: a table whose last column is a drawn bar.
 */
import { h, s } from '../build.js';

/** @typedef {{key: string, label: Node, value: number}} Bar */

export class BarList {
  element;
  #body = h('tbody');
  #emptyNote = h('p', { class: 'quiet' });

  /** @param {string} title @param {string} unit @param {string} who @param {(value: number) => string} format */
  constructor(title, unit, who, format) {
    this.format = format;
    this.title = title;
    this.element = h(
      'section',
      { class: 'chart card', 'aria-label': title },
      h('div', { class: 'caption' }, h('h2', {}, title), h('span', { class: 'quiet' }, unit)),
      h(
        'table',
        { class: 'bars' },
        h('caption', { class: 'visually-hidden' }, `${title}, ${unit}`),
        h(
          'thead',
          { class: 'visually-hidden' },
          h('tr', {}, h('th', { scope: 'col' }, who), h('th', { scope: 'col' }, unit), h('td')),
        ),
        this.#body,
      ),
      this.#emptyNote,
    );
  }

  /** @param {Bar[]} bars  largest first */
  show(bars) {
    const longest = Math.max(1, ...bars.map(({ value }) => value));
    this.#emptyNote.textContent = bars.length > 0 ? '' : 'No talk time in this period.';
    this.#body.replaceChildren(
      ...bars.map(({ label, value }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, label),
          h('td', {}, this.format(value)),
          h(
            'td',
            { class: 'bar-cell' },
            s(
              'svg',
              { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
              s('rect', { class: 'track', width: 100, height: 10 }),
              s('rect', { class: 'tone-0 fill', width: (100 * value) / longest, height: 10 }),
            ),
          ),
        ),
      ),
    );
  }
}
