/**
 * Merges transcript fragments into one caption for each turn and voice, and shows words when they are heard.
 * Leaves display to the page and storage to transcript.js.
 *
 * The service sends faster than it speaks. The model's words therefore wait until the playback worklet has played the
 * audio before them. Words that an interruption cuts off are never shown, because nobody heard them.
 */

/** @typedef {import('../shared/events.js').Caption} Caption */
/**
 * @typedef {object} Turn
 * @property {Caption} user
 * @property {string} finalText the user's final words; an interim guess may follow them in the caption
 * @property {number} segments how many captions the user's words have; with most models one
 * @property {boolean} segmentOver the next words begin another one
 * @property {Caption} model
 * @property {{text: string, position: number}[]} waiting the model's words that were not heard yet
 * @property {number} length samples of the model's audio that have arrived
 * @property {boolean} complete the service has ended the turn
 * @property {boolean} silent the audio has ended, or there is none
 */

export class Captions {
  #show;
  #idPrefix;
  #now;
  /** @type {Map<number, Turn>} */
  #turns = new Map();
  /** An interrupted turn; the worklet has not reported yet how much of it was heard. */
  #cutting = 0;
  /** The latest turn that was cut off. Words of it that come later were not heard. */
  #cutOff = 0;
  #last = 1;
  #typedCount = 0;

  /**
   * @param {(caption: Caption) => void} show
   * @param {string} idPrefix of the ids, different for each start
   * @param {() => number} [now] epoch milliseconds
   */
  constructor(show, idPrefix, now = Date.now) {
    this.#show = show;
    this.#idPrefix = idPrefix;
    this.#now = now;
  }

  /** Shows typed text at once. @param {string} text @returns {number} counts from 1 */
  addTypedText(text) {
    const last = this.#turns.get(this.#last);
    const turn = this.#last + (last && (last.complete || last.length > 0 || last.model.text) ? 1 : 0);
    const at = this.#now();
    const id = `${this.#idPrefix}-typed-${++this.#typedCount}`;
    this.#show({ ...blank(turn, 'user', id), text, final: true, typed: true, startedAt: at, endedAt: at });
    return this.#typedCount;
  }

  /**
   * @param {number} turn @param {string} text @param {boolean} finished @param {string} [language]
   * @param {import('../shared/heard.js').Heard} [heard]
   * @param {boolean} [segment] the text is a whole segment of a dictation
   */
  addUserText(turn, text, finished, language, heard, segment = false) {
    const entry = this.#enter(turn);
    const { speaker = entry.user.speaker } = heard ?? {};
    if (entry.finalText && speaker !== entry.user.speaker) entry.segmentOver = true;
    const user = this.#userCaption(entry);
    entry.finalText += text;
    entry.segmentOver = segment;
    user.final ||= finished;
    if (heard) Object.assign(user, joined(user, heard));
    this.#setText(user, entry.finalText, language);
  }

  /** The caption of the user's next words: a line of its own for another voice, and for each segment of a dictation. @param {Turn} entry */
  #userCaption(entry) {
    const { turn } = entry.user;
    if (entry.segmentOver) {
      this.#finalize(entry.user);
      entry.segments += 1;
      entry.user = blank(turn, 'user', `${this.#idPrefix}-${turn}-user-${entry.segments}`);
      entry.finalText = '';
      entry.segmentOver = false;
    }
    return entry.user;
  }

  /** A guess, replaced by the next text. @param {number} turn @param {string} text @param {string} [language] */
  showGuess(turn, text, language) {
    const entry = this.#enter(turn);
    this.#setText(this.#userCaption(entry), entry.finalText + text, language);
  }

  /**
   * @param {number} turn
   * @param {string} text
   * @param {number | null} position samples of the turn that came before the text; null: show it at once
   * @param {string} [language]
   */
  addAnswer(turn, text, position, language) {
    if (turn <= this.#cutOff) return;
    const entry = this.#enter(turn);
    if (language) entry.model.language = language;
    entry.waiting.push({ text, position: position ?? 0 });
    if (position === null || entry.silent) this.#reveal(entry, Infinity);
  }

  /** Sets how many samples of a turn have arrived. @param {number} turn @param {number} length */
  setLength(turn, length) {
    const entry = this.#turns.get(turn);
    if (entry) entry.length = length;
  }

  /** Sets how many samples of a turn were played. @param {number} turn @param {number} played */
  played(turn, played) {
    const entry = this.#turns.get(turn);
    if (entry) this.#reveal(entry, played);
  }

  /** All audio of a turn was played, or none can be played. @param {number} turn */
  drained(turn) {
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
    if (!hasSound) this.drained(turn);
    else this.#finish(entry);
  }

  /** The user spoke over it. @param {number} turn @param {boolean} reported whether the worklet reports what was heard */
  interrupted(turn, reported) {
    this.#cutOff = turn;
    const entry = this.#turns.get(turn);
    if (!entry) return;
    this.#finalize(entry.user);
    if (reported && entry.length > 0) this.#cutting = turn;
    else this.cutAt(turn, Infinity);
  }

  /** The audio of a turn ended early, after `played` samples. @param {number} turn @param {number} played */
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

  /** Returns the turn and forgets the turns that are too old to change. @param {number} turn @returns {Turn} */
  #enter(turn) {
    if (this.#cutting && this.#cutting < turn - 1) this.cutAt(this.#cutting, 0);
    this.#turns.delete(turn - 3);
    this.#last = Math.max(this.#last, turn);
    let entry = this.#turns.get(turn);
    if (!entry) {
      entry = {
        user: blank(turn, 'user', `${this.#idPrefix}-${turn}-user`),
        finalText: '',
        segments: 1,
        segmentOver: false,
        model: blank(turn, 'model', `${this.#idPrefix}-${turn}-model`),
        waiting: [],
        length: 0,
        complete: false,
        silent: false,
      };
      this.#turns.set(turn, entry);
    }
    return entry;
  }

  /** @param {Turn} entry @param {number} played */
  #reveal({ model, waiting }, played) {
    let text = '';
    while (waiting.length > 0 && waiting[0].position <= played) text += waiting.shift()?.text;
    if (text) this.#setText(model, model.text + text);
  }

  /** @param {Caption} caption @param {string} text @param {string} [language] */
  #setText(caption, text, language) {
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

/** @param {Caption} caption @param {import('../shared/heard.js').Heard} heard */
function joined({ startMs, words = [] }, heard) {
  return {
    ...heard,
    ...(startMs !== undefined && { startMs }),
    ...(heard.words && { words: [...words, ...heard.words] }),
  };
}

/** @param {number} turn @param {'user' | 'model'} role @param {string} id @returns {Caption} */
function blank(turn, role, id) {
  return { id, turn, role, text: '', final: false, interrupted: false, startedAt: 0, endedAt: 0 };
}
