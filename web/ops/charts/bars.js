/**
 * A ranking with bars: a table whose last column is a drawn bar.
 */
import { h, s } from '../build.js';

/** `whole`: what `value` is a part of. `cost` is text. @typedef {{key: string, label: Node, value: number, whole: number, cost: string}} Bar */

export class BarList {
  element;
  #body = h('tbody');
  #emptyNote = h('p', { class: 'quiet' });

  /**
   * @param {string} title @param {string} unit @param {[who: string, value: string, whole: string, cost: string]} heads
   * @param {(value: number) => string} format
   */
  constructor(title, unit, heads, format) {
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
        h('thead', {}, h('tr', {}, ...heads.map((head) => h('th', { scope: 'col' }, head)), h('td'))),
        this.#body,
      ),
      this.#emptyNote,
    );
  }

  /** @param {Bar[]} bars  largest first */
  show(bars) {
    const longest = Math.max(1, ...bars.map(({ whole }) => whole));
    this.element.querySelector('table')?.toggleAttribute('hidden', bars.length === 0);
    this.#emptyNote.textContent = bars.length > 0 ? '' : 'No talk time in this period.';
    this.#body.replaceChildren(
      ...bars.map(({ label, value, whole, cost }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, label),
          h('td', {}, this.format(value)),
          h('td', {}, this.format(whole)),
          h('td', {}, cost),
          h(
            'td',
            { class: 'bar-cell' },
            s(
              'svg',
              { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
              s('rect', { class: 'track', width: (100 * whole) / longest, height: 10 }),
              s('rect', { class: 'tone-0 fill', width: (100 * value) / longest, height: 10 }),
            ),
          ),
        ),
      ),
    );
  }
}
