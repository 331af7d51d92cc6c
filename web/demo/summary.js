/**
 * The card after a call: how long it was, how soon the answers came, what it survived. It is the last item of the
 * transcript, so a new call scrolls it away. Loaded at the end of a call.
 */
import { clockWords } from '../common/countdown.js';
import { create } from '../common/dom.js';
import { saveText } from './transcript-file.js';

/**
 * @param {import('./call-record.js').Figures} figures
 * @param {import('../live/index.js').LiveSession} session
 * @returns {HTMLElement[]} the content of the card
 */
export function summary(figures, session) {
  const list = create('dl', '', 'figures');
  for (const [name, value] of rows(figures)) {
    const row = document.createElement('div');
    row.append(create('dt', name), create('dd', value));
    list.append(row);
  }
  const title = create('p', 'Your conversation');
  if (session.transcript.length === 0) return [title, list];
  const save = create('button', 'Save transcript', 'button small');
  save.type = 'button';
  save.addEventListener('click', () => saveText(session.transcript));
  return [title, list, save];
}

/** @param {import('./call-record.js').Figures} figures @returns {[string, string][]} */
function rows({ durationMs, turns, delayMs, drops, tokens }) {
  /** @type {[string, string][]} */
  const always = [
    ['Duration', clockWords(Math.round(durationMs / 1000))],
    ['Turns', String(turns)],
  ];
  if (delayMs !== null) always.push(['Answer delay', `${delayMs} ms`]);
  if (drops) always.push(['Drops survived', String(drops)]);
  if (tokens) always.push(['Tokens', tokens.toLocaleString('en')]);
  return always;
}
