/**
 * A chart over time: heading, legend, plot, a cursor for pointer and keyboard, and the same values as a table.
 * plot.js draws.
 */
import { h, s, uniqueId } from '../build.js';
import { DASHES, draw, pattern, REST } from './plot.js';

/** @typedef {import('./plot.js').Picture} Picture */

const HEIGHT = 190;
const MOMENT = new Intl.DateTimeFormat('en-GB', { weekday: 'short', hour: '2-digit', minute: '2-digit' });
/** @type {Record<string, (index: number, count: number) => number>} */
const KEYS = {
  ArrowLeft: (index) => index - 1,
  ArrowRight: (index) => index + 1,
  PageUp: (index) => index - 10,
  PageDown: (index) => index + 10,
  Home: () => 0,
  End: (_, count) => count - 1,
};

export class TimeChart {
  element;
  #id = uniqueId('chart');
  #svg = s('svg', { class: 'plot', 'aria-hidden': 'true', focusable: 'false' });
  #cursorLine = s('line', { class: 'cursor-line' });
  #tooltip = h('div', { class: 'tooltip', 'aria-hidden': 'true', hidden: true });
  #legend = h('ul', { class: 'legend' });
  #emptyNote = h('p', { class: 'chart-empty quiet', hidden: true });
  #table = h('div', { class: 'data', tabindex: 0, role: 'group', 'aria-label': 'Values' });
  #details = h('details', {}, h('summary', {}, 'Show as table'), this.#table);
  #stage;
  #title;
  #unit;
  #link;
  /** The time step that a finger has touched. A second touch opens it. */
  #touched = -1;
  /** @type {Picture | null} */
  #picture = null;
  /** @type {import('./plot.js').Area | null} */
  #area = null;
  #cursor = -1;
  #width = 0;
  #observer = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width === this.#width || width === 0) return;
    this.#width = width;
    this.#draw();
  });

  /**
   * `open` runs on a click on a time step, and on Enter. `opens` says what it does, for the tooltip.
   * @param {string} title @param {string} unit  the unit, such as "milliseconds"
   * @param {{opens: string, open: (from: Date, to: Date) => void}} [link]
   */
  constructor(title, unit, link) {
    this.#title = title;
    this.#unit = unit;
    this.#link = link;
    // For a screen reader this is a slider: arrow keys move it, and its value is announced.
    this.#stage = h(
      'div',
      {
        class: 'stage',
        tabindex: 0,
        role: 'slider',
        'aria-label': `${title}, by time`,
        'aria-orientation': 'horizontal',
        'aria-description': link && `Enter: ${link.opens}`,
        'data-opens': link !== undefined,
      },
      this.#svg,
      this.#emptyNote,
      this.#tooltip,
    );
    this.element = h(
      'figure',
      { class: 'chart card', 'aria-labelledby': this.#id },
      h('figcaption', { id: this.#id }, h('h2', {}, title), h('span', { class: 'quiet' }, unit)),
      this.#legend,
      this.#stage,
      this.#details,
    );
    this.#listen();
    this.#observer.observe(this.#stage);
  }

  /** @param {Picture} picture */
  show(picture) {
    this.#picture = picture;
    const { series, times } = picture;
    const nothing = series.every(({ values }) => values.every((value) => !value));
    this.#emptyNote.textContent = nothing ? 'No data in this period.' : '';
    this.#emptyNote.hidden = !nothing;
    this.#legend.replaceChildren(
      ...(series.length > 1 || series[0]?.href ? series.map((one) => this.#legendItem(one, picture.kind)) : []),
    );
    this.#stage.setAttribute('aria-valuemin', '0');
    this.#stage.setAttribute('aria-valuemax', String(Math.max(0, times.count - 1)));
    this.#cursor = Math.min(this.#cursor, times.count - 1);
    this.#draw();
    if (this.#details.open) this.#fillTable();
  }

  close() {
    this.#observer.disconnect();
  }

  #listen() {
    this.#stage.addEventListener('pointermove', (event) => this.#moveCursorTo(event.clientX));
    this.#stage.addEventListener('pointerdown', (event) => this.#moveCursorTo(event.clientX));
    this.#stage.addEventListener('pointerleave', () => this.#hide());
    this.#stage.addEventListener('click', (event) => {
      const touched = this.#touched;
      this.#touched = this.#cursor;
      if (/** @type {PointerEvent} */ (event).pointerType === 'mouse' || touched === this.#cursor) this.#open();
    });
    this.#stage.addEventListener('focus', () => {
      if (this.#stage.matches(':focus-visible')) this.#moveCursor(this.#cursor < 0 ? this.#count - 1 : this.#cursor);
    });
    this.#stage.addEventListener('blur', () => this.#hide());
    this.#stage.addEventListener('keydown', (event) => {
      const move = KEYS[event.key];
      if (event.key === 'Escape') this.#hide();
      if (event.key === 'Enter' && this.#cursor >= 0) this.#open();
      if (!move) return;
      event.preventDefault();
      this.#moveCursor(move(this.#cursor < 0 ? this.#count - 1 : this.#cursor, this.#count));
    });
    this.#details.addEventListener('toggle', () => this.#fillTable());
  }

  get #count() {
    return this.#picture?.times.count ?? 0;
  }

  #draw() {
    if (!this.#picture || this.#width === 0) return;
    this.#area = draw(this.#svg, this.#picture, this.#width, HEIGHT, this.#id);
    this.#svg.append(this.#cursorLine);
    if (this.#tooltip.hidden) this.#announceValue();
    else this.#moveCursor(this.#cursor);
  }

  /** @param {number} clientX */
  #moveCursorTo(clientX) {
    if (!this.#area) return;
    const x = clientX - this.#stage.getBoundingClientRect().left - this.#area.left;
    this.#moveCursor(Math.floor((x / this.#area.width) * this.#count));
  }

  /** Moves the cursor to a time step. @param {number} index */
  #moveCursor(index) {
    if (!this.#picture || !this.#area || this.#count === 0) return;
    this.#cursor = Math.max(0, Math.min(this.#count - 1, index));
    const { kind } = this.#picture;
    const x = this.#area.x(this.#cursor);
    for (const [name, value] of Object.entries({
      x1: x,
      x2: x,
      y1: this.#area.top,
      y2: this.#area.top + this.#area.height,
    }))
      this.#cursorLine.setAttribute(name, String(value));
    this.#tooltip.replaceChildren(
      h('strong', {}, this.#when(this.#cursor)),
      h(
        'ul',
        {},
        ...this.#values(this.#cursor).map(({ name, tone, value }) =>
          h('li', {}, swatch(tone, kind), `${name} `, h('b', {}, value)),
        ),
      ),
      this.#link ? h('p', { class: 'quiet' }, `Click: ${this.#link.opens}`) : '',
    );
    this.#tooltip.hidden = false;
    this.#cursorLine.toggleAttribute('data-shown', true);
    // Next to the cursor, on the side with room.
    const right = x + 12 + this.#tooltip.offsetWidth < this.#width;
    this.#tooltip.style.left = `${right ? x + 12 : Math.max(0, x - 12 - this.#tooltip.offsetWidth)}px`;
    this.#announceValue();
  }

  #open() {
    if (!this.#link || !this.#picture || this.#cursor < 0) return;
    const { from, stepMs } = this.#picture.times;
    const start = from + this.#cursor * stepMs;
    this.#link.open(new Date(start), new Date(start + stepMs));
  }

  #hide() {
    this.#tooltip.hidden = true;
    this.#cursorLine.toggleAttribute('data-shown', false);
  }

  /** Announces the same values to screen readers. */
  #announceValue() {
    if (!this.#picture || this.#count === 0) return;
    const at = this.#cursor < 0 ? this.#count - 1 : this.#cursor;
    this.#stage.setAttribute('aria-valuenow', String(at));
    const values = this.#values(at).map(({ name, value }) => `${name} ${value}`);
    this.#stage.setAttribute('aria-valuetext', `${this.#when(at)}: ${values.join(', ')}`);
  }

  /** The values at a time step. A stack shows only the parts that are not zero. @param {number} index */
  #values(index) {
    const { series, format, kind } = /** @type {Picture} */ (this.#picture);
    const adding = kind === 'columns' && series.length > 1 ? series.filter(({ values }) => values[index]) : series;
    if (adding.length === 0) return [{ name: this.#title, tone: REST, value: 'none' }];
    return adding.map(({ name, tone, values }) => ({
      name,
      tone,
      value: values[index] === null ? 'no value' : format(/** @type {number} */ (values[index])),
    }));
  }

  /** @param {number} index */
  #when(index) {
    const { from, stepMs } = /** @type {Picture} */ (this.#picture).times;
    return MOMENT.format(from + index * stepMs);
  }

  /** @param {import('./plot.js').Series} series @param {Picture['kind']} kind */
  #legendItem({ name, tone, href }, kind) {
    return h('li', {}, swatch(tone, kind), href ? h('a', { href }, name) : name);
  }

  /** Filled only while it is open, because it is long. Newest first. */
  #fillTable() {
    if (!this.#picture || !this.#details.open) return;
    const { series, format } = this.#picture;
    const rows = Array.from({ length: this.#count }, (_, index) => this.#count - 1 - index);
    this.#table.replaceChildren(
      h(
        'table',
        {},
        h('caption', { class: 'visually-hidden' }, `${this.#title}, ${this.#unit}`),
        h(
          'thead',
          {},
          h('tr', {}, h('th', { scope: 'col' }, 'From'), ...series.map(({ name }) => h('th', { scope: 'col' }, name))),
        ),
        h(
          'tbody',
          {},
          ...rows.map((index) =>
            h(
              'tr',
              {},
              h('th', { scope: 'row' }, this.#when(index)),
              ...series.map(({ values: { [index]: value } }) =>
                h('td', {}, value === null || value === undefined ? '–' : format(value)),
              ),
            ),
          ),
        ),
      ),
    );
  }
}

/** A sample of the colour with its pattern or dashes. @param {number} tone @param {Picture['kind']} kind */
function swatch(tone, kind) {
  const id = uniqueId('swatch');
  return s(
    'svg',
    { class: 'swatch', viewBox: '0 0 20 12', 'aria-hidden': 'true' },
    ...(kind === 'lines'
      ? [s('path', { class: `line tone-${tone}`, d: 'M0 6h20', 'stroke-dasharray': DASHES[tone] || null })]
      : [s('defs', {}, pattern(id, tone)), s('rect', { class: 'column', width: 20, height: 12, fill: `url(#${id})` })]),
  );
}
