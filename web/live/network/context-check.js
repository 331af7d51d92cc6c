/**
 * Decides whether a resumed session has forgotten the conversation. Pure.
 *
 * The service counts the tokens of the whole context with every turn. After a resume the count must go on where it was.
 * If it is closer to the first count of the conversation than to the last, the context is gone. A service that counts
 * nothing is judged by its words: an answer that nobody asked for and that begins like the very first one is a greeting.
 */
/** @typedef {import('../shared/protocol.js').ServerFact} ServerFact */

/** A conversation that has grown by fewer tokens says nothing. */
const GROWN = 20;
/** So many letters are compared. */
const LETTERS = 24;
/** A context of 131 072 tokens is cut at 80 %, to half of that, unless the setup says otherwise. */
const CUT_TO = 52_000;

export class ContextCheck {
  #resumed = false;
  #first = 0;
  #last = 0;
  /** The start of the very first answer, and of the current one. */
  #opening = '';
  #words = '';
  #unasked = true;
  #open = false;
  #lost = false;
  /** A context that was cut to a window is not lost. */
  #window = Infinity;

  /** @param {Record<string, any>} [setup] */
  granted(setup) {
    const compression = setup?.contextWindowCompression;
    if (!compression) return;
    const { triggerTokens, slidingWindow } = compression;
    this.#window = Number(slidingWindow?.targetTokens ?? triggerTokens / 2) || CUT_TO;
  }

  /** @param {boolean} resumed otherwise it is a new session */
  connected(resumed) {
    this.#resumed = resumed;
    this.#open = this.#lost = false;
    if (!resumed) this.#first = this.#last = 0;
  }

  /**
   * @param {ServerFact} fact @param {boolean} opens whether it opens a turn @param {boolean} asked whether the user waits
   *   for an answer
   * @returns {boolean} whether to seed now
   */
  observe(fact, opens, asked) {
    if (fact.type === 'usage') this.#count(Number(fact.usage.promptTokenCount));
    else if (fact.type === 'turnComplete') this.#ended();
    else if (fact.type === 'outputText') this.#words += fact.text;
    if (opens && !this.#open) {
      this.#open = true;
      this.#unasked = !asked;
    }
    if (!this.#lost || this.#open) return false;
    this.connected(false);
    return true;
  }

  /** @param {number} count */
  #count(count) {
    if (!count) return;
    const grown = this.#last - this.#first;
    if (this.#resumed && grown >= GROWN && count < this.#last - grown / 2 && count < this.#window / 2)
      this.#lost = true;
    this.#resumed = false;
    this.#first ||= count;
    this.#last = count;
  }

  #ended() {
    const start = this.#words
      .replace(/[^\p{L}]/gu, '')
      .toLowerCase()
      .slice(0, LETTERS);
    if (this.#resumed && this.#unasked && start.length === LETTERS && start === this.#opening) this.#lost = true;
    this.#opening ||= start;
    this.#words = '';
    this.#open = false;
  }
}
