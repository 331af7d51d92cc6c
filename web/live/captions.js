/**
 * Transcript fragments merged into one caption per turn and voice, shown when they are heard.
 *
 * Owns: what each caption says now. Needs nothing. Leaves showing to the page.
 * The service sends faster than it speaks, so the model's words wait until the worklet has played the sound that
 * came before them; what a barge-in cuts off is never shown, because it was never heard.
 */

/** @typedef {import('./events.js').Caption} Caption */
/**
 * @typedef {object} Turn
 * @property {Caption} user
 * @property {string} heard the user's words that are sure; an interim guess may stand behind them
 * @property {Caption} model
 * @property {{text: string, position: number}[]} waiting
 * @property {boolean} complete the service has ended it
 * @property {boolean} silent its sound has ended, or it has none
 */

export class Captions {
  #show;
  #prefix;
  /** @type {Map<number, Turn>} */
  #turns = new Map();

  /**
   * @param {(caption: Caption) => void} show
   * @param {string} prefix of the ids, another one for each start
   */
  constructor(show, prefix) {
    this.#show = show;
    this.#prefix = prefix;
  }

  /** @param {number} turn @param {string} text @param {boolean} finished */
  userSaid(turn, text, finished) {
    const { user } = this.#settle(turn);
    const entry = this.#turn(turn);
    entry.heard += text;
    user.text = entry.heard;
    user.final ||= finished;
    this.#show({ ...user });
  }

  /** A guess that the next one replaces. @param {number} turn @param {string} text */
  userMayHaveSaid(turn, text) {
    const entry = this.#settle(turn);
    entry.user.text = entry.heard + text;
    this.#show({ ...entry.user });
  }

  /**
   * @param {number} turn
   * @param {string} text
   * @param {number} position samples of the turn's sound that came before
   */
  modelSaid(turn, text, position) {
    const entry = this.#settle(turn);
    entry.waiting.push({ text, position });
    if (position === 0 || entry.silent) this.#reveal(entry, position);
  }

  /** The worklet has played so much of a turn. @param {number} turn @param {number} played */
  heard(turn, played) {
    const entry = this.#turns.get(turn);
    if (entry) this.#reveal(entry, played);
  }

  /** All sound of a turn was played, or none can be. @param {number} turn */
  soundEnded(turn) {
    const entry = this.#turns.get(turn);
    if (!entry) return;
    entry.silent = true;
    this.#reveal(entry, Infinity);
    this.#finish(entry);
  }

  /** The service has ended a turn. @param {number} turn @param {boolean} hasSound */
  turnComplete(turn, hasSound) {
    const entry = this.#turns.get(turn);
    if (!entry) return;
    entry.complete = true;
    this.#finalize(entry.user);
    if (!hasSound) this.soundEnded(turn);
    else this.#finish(entry);
  }

  /** The user spoke over it. @param {number} turn */
  interrupted(turn) {
    const entry = this.#turns.get(turn);
    if (!entry) return;
    entry.waiting = [];
    entry.complete = true;
    entry.silent = true;
    this.#finalize(entry.user);
    if (entry.model.text && !entry.model.final) entry.model.interrupted = true;
    this.#finalize(entry.model);
  }

  /** @param {number} turn @returns {Turn} */
  #turn(turn) {
    let entry = this.#turns.get(turn);
    if (!entry) {
      const blank = { turn, text: '', final: false, interrupted: false };
      entry = {
        user: { ...blank, id: `${this.#prefix}-${turn}-user`, role: 'user' },
        heard: '',
        model: { ...blank, id: `${this.#prefix}-${turn}-model`, role: 'model' },
        waiting: [],
        complete: false,
        silent: false,
      };
      this.#turns.set(turn, entry);
    }
    return entry;
  }

  /** The turn, with all before the last one forgotten. @param {number} turn */
  #settle(turn) {
    this.#turns.delete(turn - 2);
    return this.#turn(turn);
  }

  /** @param {Turn} entry @param {number} played */
  #reveal({ model, waiting }, played) {
    let text = '';
    while (waiting.length > 0 && waiting[0].position <= played) text += waiting.shift()?.text;
    if (!text) return;
    model.text += text;
    this.#show({ ...model });
  }

  /** @param {Turn} entry */
  #finish(entry) {
    if (entry.complete && entry.silent) this.#finalize(entry.model);
  }

  /** @param {Caption} caption */
  #finalize(caption) {
    if (caption.final || !caption.text) return;
    caption.final = true;
    this.#show({ ...caption });
  }
}
