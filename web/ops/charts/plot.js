/**
 * Draws one plot into an SVG: axes, and stacked columns or lines. It keeps no state and handles no events.
 * time-chart.js adds the frame, legend, cursor and table.
 */
import { s } from '../build.js';
import { runs, timeTicks, valueScale } from './scale.js';

/**
 * `tone`: a colour and a pattern, see `look`. `values`: one per time step, null if unknown.
 * @typedef {{name: string, values: (number | null)[], tone: number, href?: string}} Series
 * @typedef {{from: number, stepMs: number, count: number}} Times  `from`: milliseconds since 1970
 * @typedef {{kind: 'columns' | 'lines', times: Times, series: Series[], format: (value: number) => string}} Picture
 * @typedef {{left: number, top: number, width: number, height: number, x: (index: number) => number}} Area
 */

const MARGIN = { top: 10, right: 12, bottom: 24 };
const LETTER = 6.6;
export const DASHES = ['', '7 3', '2 3', '10 3 2 3', '4 4', '1 4'];
const COLOURS = 5;
const HATCHINGS = ['', 'M-1 1l2-2M0 8l8-8M7 9l2-2', 'M4 0v8', 'M2 2h2v2h-2zM6 6h2v2h-2z', 'M0 4h8', 'M0 0l8 8M0 8l8-8'];
/** The tone of everything that has no tone of its own: grey. */
export const REST = -1;

/**
 * The colour and the hatching of a tone. Tones 0 to 29 all differ, and neighbours differ in both.
 * @param {number} tone
 */
export function look(tone) {
  if (tone === REST) return { colour: COLOURS, hatching: 0 };
  return { colour: tone % COLOURS, hatching: (tone + 2 * Math.floor(tone / COLOURS)) % HATCHINGS.length };
}

/**
 * @param {SVGSVGElement} svg
 * @param {Picture} picture
 * @param {number} width
 * @param {number} height
 * @param {string} id  prefix for the ids of its patterns
 * @returns {Area}
 */
export function draw(svg, picture, width, height, id) {
  const { times, series, kind, format } = picture;
  const scale = valueScale(highest(picture));
  const labels = scale.ticks.map(format);
  const left = 10 + LETTER * Math.max(...labels.map(({ length }) => length));
  const area = {
    left,
    top: MARGIN.top,
    width: Math.max(10, width - left - MARGIN.right),
    height: height - MARGIN.top - MARGIN.bottom,
    x: (/** @type {number} */ index) => left + ((index + 0.5) / times.count) * area.width,
  };
  const y = (/** @type {number} */ value) => round(area.top + area.height * (1 - value / scale.top));
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('height', String(height));
  svg.replaceChildren(
    s('defs', {}, ...(kind === 'columns' ? series.map((one) => pattern(`${id}-${one.tone}`, one.tone)) : [])),
    ...valueAxis(scale.ticks, labels, area, y),
    ...timeAxis(times, area),
    ...(kind === 'columns' ? columns(series, times, area, y, id) : series.flatMap((one) => line(one, area, y))),
  );
  return area;
}

/** @param {Picture} picture */
function highest({ kind, times, series }) {
  if (kind === 'lines') return Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  return Math.max(
    0,
    ...Array.from({ length: times.count }, (_, index) =>
      series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0),
    ),
  );
}

/** @param {number[]} ticks @param {string[]} labels @param {Area} area @param {(value: number) => number} y */
function valueAxis(ticks, labels, { left, width }, y) {
  return ticks.map((tick, index) =>
    s(
      'g',
      { class: tick === 0 ? 'base' : 'grid' },
      s('line', { x1: left, x2: left + width, y1: y(tick), y2: y(tick) }),
      s('text', { x: left - 6, y: y(tick) + 4, 'text-anchor': 'end' }, labels[index]),
    ),
  );
}

/** @param {Times} times @param {Area} area */
function timeAxis({ from, stepMs, count }, { left, top, width, height }) {
  const to = from + stepMs * count;
  return timeTicks(from, to, Math.max(2, Math.floor(width / 72))).map(({ at, label }) => {
    const x = round(left + ((at - from) / (to - from)) * width);
    // The first and last labels stay inside the picture.
    const anchor = x - left < 14 ? 'start' : left + width - x < 14 ? 'end' : 'middle';
    return s(
      'g',
      { class: 'tick' },
      s('line', { x1: x, x2: x, y1: top + height, y2: top + height + 4 }),
      s('text', { x, y: top + height + 17, 'text-anchor': anchor }, label),
    );
  });
}

/** One path per series, not one element per column. @param {Series[]} series @param {Times} times @param {Area} area @param {(value: number) => number} y @param {string} id */
function columns(series, { count }, area, y, id) {
  const slot = area.width / count;
  const gap = slot > 4 ? Math.min(2, slot * 0.2) : 0;
  const below = new Array(count).fill(0);
  return series.map(({ values, tone }) => {
    let path = '';
    values.forEach((value, index) => {
      if (!value) return;
      const [low, high] = [y(below[index]), y(below[index] + value)];
      below[index] += value;
      path += `M${round(area.x(index) - (slot - gap) / 2)} ${low}V${high}h${round(slot - gap)}V${low}z`;
    });
    return s('path', { class: 'column', d: path, fill: `url(#${id}-${tone})` });
  });
}

/** A single value between two gaps is drawn as a dot. @param {Series} series @param {Area} area @param {(value: number) => number} y */
function line({ values, tone }, area, y) {
  const place = (/** @type {number} */ index) => `${round(area.x(index))} ${y(/** @type {number} */ (values[index]))}`;
  return runs(values).map((run) =>
    run.length === 1
      ? s('circle', {
          class: `dot tone-${tone}`,
          cx: round(area.x(run[0])),
          cy: y(/** @type {number} */ (values[run[0]])),
          r: 3,
        })
      : s('path', {
          class: `line tone-${tone}`,
          d: `M${run.map(place).join('L')}`,
          'stroke-dasharray': DASHES[tone] || null,
        }),
  );
}

/** A colour with its own hatching, so that nobody needs the colour to distinguish the parts of a stack. @param {string} id @param {number} tone */
export function pattern(id, tone) {
  const { colour, hatching } = look(tone);
  return s(
    'pattern',
    { id, class: `tone-${colour}`, width: 8, height: 8, patternUnits: 'userSpaceOnUse' },
    s('rect', { class: 'fill', width: 8, height: 8 }),
    s('path', { class: 'hatching', d: HATCHINGS[hatching] }),
  );
}

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;
