/**
 * Shows the connection in three numbers, with all measurements below them, and copies these for a bug report.
 * It never shows or copies a credential.
 */
import { byId, create } from '../common/dom.js';

import { record } from './call-record.js';

/** The library reports no credentials. This is a second barrier. */
const SECRET = /token|handle|auth|cookie|csrf/i;

/** Counted from the click, so it contains the person's own speech. The delay from its end says more. */
const LEFT_OUT = 'steps sound';
/** The service speaks at this rate. */
const SAMPLES_PER_MS = 24;

/** Labels for the library's names. An unknown name is shown as it is. @type {Record<string, string>} */
const LABELS = {
  network: 'Network thread',
  'steps granted': 'Token after',
  'steps opened': 'Socket open after',
  'steps ready': 'Set up after',
  'steps microphone': 'Microphone after',
  'turns turns': 'Answers',
  'turns interruptions': 'Interruptions',
  'turns receipt to sound ms': 'Arrival to sound',
  'turns interrupted after samples': 'Interrupted after',
  'turns speech end to sound ms': 'First sound, from the end of speech',
  'turns interrupted to silence ms': 'Interrupted to silence',
  'playback underruns': 'Underruns',
  'playback dropped samples': 'Samples dropped',
  'playback latency ms': 'Speaker delay',
  'capture dropped chunks': 'Microphone chunks dropped',
  'capture slow network': 'Slow network',
  'capture starved': 'Microphone gaps',
  'capture sample rate': 'Microphone rate',
  'line reconnects': 'Reconnects after a drop',
  'line handovers': 'Planned reconnects',
  'line gap ms': 'Last reconnect took',
  'line lost ms': 'Speech lost',
};
/** @type {[RegExp, string][]} */
const UNITS = [
  [/ ms$|^steps /, ' ms'],
  [/sample rate$/, ' Hz'],
];

export class Diagnostics {
  #details = byId('diagnostics', HTMLDetailsElement);
  #filled = byId('diagnostics-filled', HTMLDivElement);
  #list = byId('diagnostics-list', HTMLDListElement);
  #empty = byId('diagnostics-empty', HTMLParagraphElement);
  #figures = create('dl', '', 'figures');
  #copied = byId('diagnostics-copied', HTMLSpanElement);
  #read;

  /** @param {() => object} read */
  constructor(read) {
    this.#read = read;
    const all = document.createElement('details');
    all.className = 'all-values';
    all.append(create('summary', 'All values'));
    const values = this.#list.parentElement;
    values?.before(this.#figures, all);
    if (values) all.append(values);
    byId('diagnostics-copy', HTMLButtonElement).addEventListener('click', () => void this.#copy(read()));
  }

  /** Fills the panel when it opens. */
  open() {
    this.#copied.textContent = '';
    this.show(this.#read());
  }

  /** @param {object} report */
  show(report) {
    if (!this.#details.open) return;
    const rows = flatten(report);
    this.#figures.replaceChildren(...headline().map(pair));
    this.#filled.hidden = rows.length === 0;
    this.#empty.hidden = rows.length > 0;
    this.#list.replaceChildren(...rows.map(pair));
  }

  /** @param {object} report */
  async #copy(report) {
    const lines = [
      ...headline(),
      ...flatten(report),
      ['browser', navigator.userAgent],
      ['at', new Date().toISOString()],
    ];
    try {
      await navigator.clipboard.writeText(lines.map(([name, value]) => `${name}: ${value}`).join('\n'));
      this.#copied.textContent = 'Copied';
    } catch {
      this.#copied.textContent = 'The browser blocked copying. Select the values and copy them yourself.';
    }
  }
}

/** The three numbers that a person wants. @returns {[string, string][]} */
function headline() {
  const { delayMs, drops, gaps } = record.figures;
  return [
    ['Answer delay', delayMs === null ? 'not yet' : `${delayMs} ms`],
    ['Drops survived', String(drops)],
    ['Sound gaps', String(gaps)],
  ];
}

/** @param {[string, string]} row */
function pair([name, value]) {
  const row = document.createElement('div');
  row.append(create('dt', name), create('dd', value));
  return row;
}

/**
 * Flattens nested values into rows. `playback.underruns` is looked up as "playback underruns".
 * @param {object} report
 * @param {string} prefix
 * @returns {[string, string][]}
 */
function flatten(report, prefix = '') {
  return Object.entries(report).flatMap(([key, value]) => {
    if (SECRET.test(key) || value === undefined || value === null || value === '') return [];
    const name = `${prefix}${key.replace(/([a-z0-9])([A-Z])/g, '$1 $2').toLowerCase()}`;
    if (name === LEFT_OUT) return [];
    if (typeof value === 'object') return flatten(value, `${name} `);
    return [/** @type {[string, string]} */ ([LABELS[name] ?? name, formatValue(name, value)])];
  });
}

/** @param {string} name @param {unknown} value */
function formatValue(name, value) {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'number') return String(value);
  if (name.endsWith('after samples')) return `${Math.round(value / SAMPLES_PER_MS)} ms`;
  const unit = UNITS.find(([pattern]) => pattern.test(name))?.[1] ?? '';
  return `${Number.isInteger(value) ? value : value.toFixed(value < 1 ? 3 : 1)}${unit}`;
}
