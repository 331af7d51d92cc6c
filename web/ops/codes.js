/**
 * The codes of refusals: the fixed tone of each in the charts. A code keeps its colour and pattern in every chart and
 * range, whatever else was refused. charts/plot.js makes a colour and a pattern of a tone.
 */
import { REST } from './charts/plot.js';

/** In the order in which they are stacked. Limits first, then access, then Google and the broker itself. */
export const CODES = [
  'project-capacity',
  'rate-limited',
  'too-many-sessions',
  'minutes-exhausted',
  'minting-suspended',
  'profile-forbidden',
  'account-blocked',
  'forbidden',
  'bad-login',
  'login-throttled',
  'upstream-quota',
  'upstream-rejected',
  'upstream-error',
  'upstream-timeout',
  'busy',
  'invalid-token',
  'session-unknown',
  'session-ended',
  'ttl-too-long',
  'internal',
  'budget-exhausted',
];

/** @param {string} code */
export const toneOf = (code) => (CODES.includes(code) ? CODES.indexOf(code) : REST);

/**
 * One series for each known code that occurs, and one for all other codes together.
 * @param {{refusals: Record<string, number>}[]} points
 * @param {Record<string, number>} totals
 * @param {(code: string) => string} hrefOf
 * @returns {import('./charts/plot.js').Series[]}
 */
export function seriesOf(points, totals, hrefOf) {
  const series = CODES.filter((code) => totals[code]).map((code) => ({
    name: code,
    tone: toneOf(code),
    href: hrefOf(code),
    values: points.map(({ refusals }) => refusals[code] ?? 0),
  }));
  const others = Object.keys(totals).filter((code) => !CODES.includes(code));
  if (others.length > 0)
    series.push({
      name: 'others',
      tone: REST,
      href: hrefOf(''),
      values: points.map(({ refusals }) => others.reduce((sum, code) => sum + (refusals[code] ?? 0), 0)),
    });
  return series;
}
