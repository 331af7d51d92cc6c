/**
 * Formats numbers and RFC 3339 times for people: English words, the reader's own time zone.
 */
import { clockWords } from '../common/countdown.js';

import { h } from './build.js';

const COUNT = new Intl.NumberFormat('en-GB', { maximumFractionDigits: 0 });
const DAY_TIME = new Intl.DateTimeFormat('en-GB', {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
});
const TIME = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** The time zone of all times on the page, such as "GMT+1". */
export const ZONE =
  new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' })
    .formatToParts()
    .find(({ type }) => type === 'timeZoneName')?.value ?? '';

/** "1,234". @param {number} number */
export const count = (number) => COUNT.format(number);

/** "1 token", "2 tokens". @param {number} number @param {string} noun */
export const counted = (number, noun) => `${count(number)} ${noun}${number === 1 ? '' : 's'}`;

/** "450 ms", "1.25 s". @param {number | null | undefined} ms */
export function milliseconds(ms) {
  if (ms === null || ms === undefined) return '–';
  return ms < 1000 ? `${count(ms)} ms` : `${Number((ms / 1000).toPrecision(3))} s`;
}

/**
 * "$1.27"; small amounts have more decimals: "$0.0042". Only for people: the API's text is exact.
 * @param {string | null} amount @param {string | null} currency
 */
export function money(amount, currency) {
  if (amount === null || currency === null) return 'unknown';
  const value = Number(amount);
  const maximumFractionDigits = value > 0 && value < 1 ? 4 : 2;
  return new Intl.NumberFormat('en-GB', {
    style: 'currency',
    currency,
    currencyDisplay: 'narrowSymbol',
    minimumFractionDigits: 2,
    maximumFractionDigits,
  }).format(value);
}

/**
 * A `time` element with the exact time as its title, or `none`.
 * @param {string | null | undefined} at
 * @param {string} [none]
 */
export function timeOf(at, none = '–') {
  return at ? h('time', { datetime: at, title: at }, formatTime(at)) : none;
}

/** "14:02:11", or "24 Nov, 14:02:11" on another day. @param {string} at */
export function formatTime(at) {
  const when = new Date(at);
  return when.toDateString() === new Date().toDateString() ? TIME.format(when) : DAY_TIME.format(when);
}

/** Time left: "12:30", or "over". @param {string} at @param {number} nowMs */
export function left(at, nowMs) {
  const seconds = Math.ceil((Date.parse(at) - nowMs) / 1000);
  return seconds > 0 ? clockWords(seconds) : 'over';
}

/** Time since: "8 s ago", "4 min ago", "2 h ago", "3 d ago". @param {string} at @param {number} nowMs */
export function ago(at, nowMs) {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(at)) / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} d ago`;
}
