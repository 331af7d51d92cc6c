/**
 * Notices that the model is interrupted by its own voice. Owns: that verdict. Needs nothing: levels, captions and
 * cuts come in, a call goes out. Loaded with the first cut. Leaves what to do about it (headphones, half-duplex) to the page.
 *
 * Two signs together make a suspect: the microphone's level follows the loudspeaker's, and nobody has said words
 * of their own. Echo that is transcribed is transcribed as the model's own words, so those do not count.
 */

/** Twenty levels a second: 3 s, and up to 0.3 s between sound and its echo. */
const KEPT = 60;
const MOST_LAG = 6;
const FOLLOWS = 0.6;
const SUSPECTS = 2;
/** Letters in a row that are compared, so that it works in languages without spaces too. */
const PIECE = 3;

export class EchoDetector {
  #onecho;
  /** @type {number[]} */
  #inputs = [];
  /** @type {number[]} */
  #outputs = [];
  #suspects = 0;
  #ownWords = false;
  #spoken = '';
  #heardId = '';
  #heard = 0;

  /** @param {() => void} onecho */
  constructor(onecho) {
    this.#onecho = onecho;
  }

  /** @param {number} input RMS @param {number} output RMS, at the same time */
  levels(input, output) {
    if (this.#inputs.push(input) > KEPT) this.#inputs.shift();
    if (this.#outputs.push(output) > KEPT) this.#outputs.shift();
  }

  /** @param {import('../shared/events.js').Caption} caption */
  caption({ id, role, text }) {
    if (role === 'model') {
      this.#spoken = letters(text).slice(-400);
      return;
    }
    const news = letters(id === this.#heardId ? text.slice(this.#heard) : text);
    this.#heardId = id;
    this.#heard = text.length;
    if (news.length < PIECE || !this.#isOwn(news)) return;
    this.#ownWords = true;
    this.#suspects = 0;
  }

  /** The model begins to be heard. */
  started() {
    this.#ownWords = false;
    this.#inputs = [];
    this.#outputs = [];
  }

  /** The model was cut off while it was heard. */
  interrupted() {
    if (this.#ownWords || !this.#follows()) this.#suspects = 0;
    else this.#suspects += 1;
    if (this.#suspects < SUSPECTS) return;
    this.#suspects = 0;
    this.#onecho();
  }

  /** @param {string} said */
  #isOwn(said) {
    let known = 0;
    for (let at = 0; at + PIECE <= said.length; at++) if (this.#spoken.includes(said.slice(at, at + PIECE))) known += 1;
    return known < (said.length - PIECE + 1) / 2;
  }

  #follows() {
    for (let lag = 0; lag <= MOST_LAG; lag++) {
      const outputs = this.#outputs.slice(0, this.#outputs.length - lag);
      if (correlation(this.#inputs.slice(lag), outputs) > FOLLOWS) return true;
    }
    return false;
  }
}

/** @param {string} text */
const letters = (text) => text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');

/** Pearson's, -1..1; 0 for what does not vary or is too short to tell. @param {number[]} a @param {number[]} b */
function correlation(a, b) {
  if (a.length < 8) return 0;
  const mean = (/** @type {number[]} */ x) => x.reduce((sum, value) => sum + value, 0) / x.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - meanA) * (b[i] - meanB);
    aa += (a[i] - meanA) ** 2;
    bb += (b[i] - meanB) ** 2;
  }
  return aa && bb ? ab / Math.sqrt(aa * bb) : 0;
}
