/**
 * Counts what a person wants to know of one call: how long it was, how soon the answers came, and what it survived.
 * The card after the call and the connection panel show it.
 */

/** @typedef {import('../live/index.js').LiveEvents} LiveEvents */
/** @typedef {LiveEvents['diagnostics']} Report */
/**
 * Times are milliseconds. `durationMs`: 0 until the call has ended. `delayMs` is the median from the end of speech to the first sound of the answer; null: nobody
 * spoke yet. `drops`: broken connections that were replaced. `tokens`: 0 if the service reports none.
 * @typedef {{durationMs: number, turns: number, delayMs: number | null, drops: number, gaps: number, tokens: number}} Figures
 */

/** More answers than this change the median too little to matter. */
const MOST_DELAYS = 500;

export class CallRecord {
  #connectedAt = 0;
  #endedAt = 0;
  /** Ids of the turns of both voices. @type {Set<string>} */
  #turns = new Set();
  /** @type {number[]} */
  #delays = [];
  #answers = 0;
  /** @type {Report | null} */
  #report = null;

  /** Whether the call was connected. */
  get connected() {
    return this.#connectedAt > 0;
  }

  /** A new call begins. */
  reset() {
    this.#connectedAt = this.#endedAt = this.#answers = 0;
    this.#turns.clear();
    this.#delays = [];
    this.#report = null;
  }

  /** @param {LiveEvents['statechange']} change @param {number} at epoch milliseconds */
  state({ state, previous }, at) {
    if (state === 'connecting') this.reset();
    else if (state === 'ended' || state === 'error') this.#endedAt = at;
    else if (previous === 'connecting') this.#connectedAt = at;
  }

  /** @param {LiveEvents['caption']} caption */
  caption({ id, text }) {
    if (text.trim()) this.#turns.add(id);
  }

  /** @param {Report} report */
  diagnostics(report) {
    const { turns, speechEndToSoundMs } = report.turns;
    const isNew = turns > this.#answers && speechEndToSoundMs !== this.#report?.turns.speechEndToSoundMs;
    if (isNew && speechEndToSoundMs !== null && this.#delays.length < MOST_DELAYS)
      this.#delays.push(speechEndToSoundMs);
    this.#answers = turns;
    this.#report = report;
  }

  /** @returns {Figures} */
  get figures() {
    const { line, playback, tokens } = this.#report ?? {};
    return {
      durationMs: this.connected && this.#endedAt ? this.#endedAt - this.#connectedAt : 0,
      turns: this.#turns.size,
      delayMs: median(this.#delays),
      drops: line?.reconnects ?? 0,
      gaps: playback?.underruns ?? 0,
      tokens: tokens?.total ?? 0,
    };
  }
}

/** The lower one of two middle values. @param {number[]} values @returns {number | null} */
function median(values) {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? null;
}

/** The record of the current call, or of the last one. */
export const record = new CallRecord();
