/**
 * Positions and labels of values and times on an axis. Pure functions.
 */

/**
 * @typedef {{top: number, ticks: number[]}} ValueScale  from 0 to `top`
 * @typedef {{at: number, label: string}} TimeTick  `at`: milliseconds since 1970
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  5 * MINUTE,
  10 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
];
const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DATE = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: 'numeric' });

/**
 * Ticks at 1, 2 or 5 times a power of ten, whole numbers only, from 0 up to `highest` or just above.
 * @param {number} highest
 * @param {number} most  ticks above 0
 * @returns {ValueScale}
 */
export function valueScale(highest, most = 4) {
  const rough = Math.max(highest, 1) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, /** @type {number} */ ([1, 2, 5, 10].find((factor) => factor * power >= rough)) * power);
  const count = Math.max(1, Math.ceil(highest / step));
  return { top: count * step, ticks: Array.from({ length: count + 1 }, (_, index) => index * step) };
}

/**
 * Round local times between two moments, at most `most`. A midnight shows its date.
 * @param {number} from  milliseconds
 * @param {number} to  milliseconds
 * @param {number} most
 * @returns {TimeTick[]}
 */
export function timeTicks(from, to, most) {
  const step = TIME_STEPS.find((one) => (to - from) / one <= most) ?? 7 * DAY;
  const ticks = [];
  // Computed on the local clock, so that they stay round on days with a clock change.
  const start = new Date(from);
  start.setHours(0, 0, 0, 0);
  for (let index = 0; ; index += 1) {
    const at = new Date(start);
    if (step >= DAY) at.setDate(start.getDate() + index * (step / DAY));
    else at.setMinutes(index * (step / MINUTE));
    if (at.getTime() > to) return ticks;
    const midnight = at.getHours() === 0 && at.getMinutes() === 0;
    if (at.getTime() >= from) ticks.push({ at: at.getTime(), label: midnight ? DATE.format(at) : CLOCK.format(at) });
  }
}

/**
 * Runs of values without a gap.
 * @param {(number | null)[]} values
 * @returns {number[][]}  indexes
 */
export function runs(values) {
  /** @type {number[][]} */
  const found = [];
  let last = /** @type {number[] | null} */ (null);
  values.forEach((value, index) => {
    if (value === null) last = null;
    else if (last) last.push(index);
    else {
      last = [index];
      found.push(last);
    }
  });
  return found;
}
