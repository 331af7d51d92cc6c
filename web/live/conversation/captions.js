/**
 * Transcript fragments merged into one caption per turn and voice, shown when they are heard.
 *
 * Owns: what each caption says now. Needs nothing. Leaves showing to the page, keeping to transcript.js.
 * The service sends faster than it speaks, so the model's words wait until the worklet has played the sound that
 * came before them; what a barge-in cuts off is never shown, because it was never heard.
 */

/** @typedef {import('../shared/events.js').Caption} Caption */
/**
 * @typedef {object} Turn
 * @property {Caption} user
 * @property {string} heard the user's words that are sure; an interim guess may stand behind them
 * @property {Caption} model
 * @property {{text: string, position: number}[]} waiting
 * @property {number} length samples of the model's sound that have come
 * @property {boolean} complete the service has ended it
 * @property {boolean} silent its sound has ended, or it has none
 */

export class Captions {
  #show;
  #prefix;
  #now;
  /** @type {Map<number, Turn>} */
  #turns = new Map();
  /** Cut off, and the worklet has not said yet how much of it was heard. */
  #cutting = 0;
  #last = 1;
  #typed = 0;

  /**
   * @param {(caption: Caption) => void} show
   * @param {string} prefix of the ids, another one for each start
   * @param {() => number} [now] epoch milliseconds
   */
  constructor(show, prefix, now = Date.now) {
    this.#show = show;
    this.#prefix = prefix;
    this.#now = now;
  }

  /** What the user typed was said at once. @param {string} text @returns {number} counts from 1 */
  typed(text) {
    const last = this.#turns.get(this.#last);
    const turn = this.#last + (last && (last.complete || last.length > 0 || last.model.text) ? 1 : 0);
    const at = this.#now();
    const id = `${this.#prefix}-typed-${++this.#typed}`;
    this.#show({ ...blank(turn, 'user', id), text, final: true, typed: true, startedAt: at, endedAt: at });
    return this.#typed;
  }

  /** @param {number} turn @param {string} text @param {boolean} finished @param {string} [language] */
  userSaid(turn, text, finished, language) {
    const entry = this.#settle(turn);
    entry.heard += text;
    entry.user.final ||= finished;
    this.#say(entry.user, entry.heard, language);
  }

  /** A guess that the next one replaces. @param {number} turn @param {string} text @param {string} [language] */
  userMayHaveSaid(turn, text, language) {
    const entry = this.#settle(turn);
    this.#say(entry.user, entry.heard + text, language);
  }

  /**
   * @param {number} turn
   * @param {string} text
   * @param {number | null} position samples of the turn's sound that came before; null: show it at once
   * @param {string} [language]
   */
  modelSaid(turn, text, position, language) {
    const entry = this.#settle(turn);
    if (language) entry.model.language = language;
    entry.waiting.push({ text, position: position ?? 0 });
    if (position === null || entry.silent) this.#reveal(entry, Infinity);
  }

  /** So much of a turn's sound has come by now. @param {number} turn @param {number} length */
  came(turn, length) {
    const entry = this.#turns.get(turn);
    if (entry) entry.length = length;
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

  /** The user spoke over it. @param {number} turn @param {boolean} told whether the worklet will say how much was heard */
  interrupted(turn, told) {
    const entry = this.#turns.get(turn);
    if (!entry) return;
    this.#finalize(entry.user);
    if (told && entry.length > 0) this.#cutting = turn;
    else this.cutAt(turn, Infinity);
  }

  /** Its sound broke off for good after so many samples. @param {number} turn @param {number} played */
  cutAt(turn, played) {
    const entry = this.#turns.get(turn);
    if (!entry) return;
    if (this.#cutting === turn) this.#cutting = 0;
    if (!entry.silent && played < Infinity) this.#reveal(entry, played);
    entry.waiting = [];
    const { model } = entry;
    if (model.text && !model.final && !entry.silent) {
      model.interrupted = true;
      model.heardSamples = Math.min(played, entry.length);
    }
    entry.complete = true;
    entry.silent = true;
    this.#finish(entry);
  }

  /** @param {number} turn @returns {Turn} */
  #turn(turn) {
    let entry = this.#turns.get(turn);
    if (!entry) {
      entry = {
        user: blank(turn, 'user', `${this.#prefix}-${turn}-user`),
        heard: '',
        model: blank(turn, 'model', `${this.#prefix}-${turn}-model`),
        waiting: [],
        length: 0,
        complete: false,
        silent: false,
      };
      this.#turns.set(turn, entry);
    }
    return entry;
  }

  /** The turn, with all before the last one forgotten. @param {number} turn */
  #settle(turn) {
    if (this.#cutting && this.#cutting < turn - 1) this.cutAt(this.#cutting, 0);
    this.#turns.delete(turn - 3);
    this.#last = Math.max(this.#last, turn);
    return this.#turn(turn);
  }

  /** @param {Turn} entry @param {number} played */
  #reveal({ model, waiting }, played) {
    let text = '';
    while (waiting.length > 0 && waiting[0].position <= played) text += waiting.shift()?.text;
    if (text) this.#say(model, model.text + text);
  }

  /** @param {Caption} caption @param {string} text @param {string} [language] */
  #say(caption, text, language) {
    caption.text = text;
    caption.endedAt = this.#now();
    caption.startedAt ||= caption.endedAt;
    if (language) caption.language = language;
    this.#show({ ...caption });
  }

  /** @param {Turn} entry */
  #finish(entry) {
    if (!entry.complete || !entry.silent) return;
    entry.model.heardSamples ??= entry.length;
    this.#finalize(entry.model);
  }

  /** @param {Caption} caption */
  #finalize(caption) {
    if (caption.final || !caption.text) return;
    caption.final = true;
    caption.endedAt = this.#now();
    this.#show({ ...caption });
  }
}

/** @param {number} turn @param {'user' | 'model'} role @param {string} id @returns {Caption} */
function blank(turn, role, id) {
  return { id, turn, role, text: '', final: false, interrupted: false, startedAt: 0, endedAt: 0 };
}
