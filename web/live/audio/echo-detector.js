/**
 * Detects that the model is interrupted by its own voice. audio-io.js loads this module with the first interruption.
 * Leaves the remedy (headphones, half-duplex) to the page.
 *
 * Two signs together count: the microphone's level follows the loudspeaker's level, and nobody has said words of their
 * own. The service transcribes an echo as the model's own words, so those words do not count.
 */

/** Three seconds of levels, at twenty a second. */
const MAX_LEVELS = 60;
/** Up to 0.3 s between a sound and its echo. */
const MAX_LAG = 6;
const MIN_CORRELATION = 0.6;
/** This many suspicious interruptions in a row are an echo. */
const SUSPICIONS = 2;
/** Text is compared in pieces of this many letters, which also works in languages without spaces. */
const PIECE_LETTERS = 3;

export class EchoDetector {
  #onecho;
  /** @type {number[]} */
  #inputs = [];
  /** @type {number[]} */
  #outputs = [];
  #suspicions = 0;
  #userSpoke = false;
  #modelText = '';
  #userCaptionId = '';
  #userCaptionLength = 0;

  /** @param {() => void} onecho */
  constructor(onecho) {
    this.#onecho = onecho;
  }

  /** @param {number} input RMS @param {number} output RMS at the same time */
  levels(input, output) {
    if (this.#inputs.push(input) > MAX_LEVELS) this.#inputs.shift();
    if (this.#outputs.push(output) > MAX_LEVELS) this.#outputs.shift();
  }

  /** @param {import('../shared/events.js').Caption} caption */
  caption({ id, role, text }) {
    if (role === 'model') {
      this.#modelText = letters(text.slice(-800)).slice(-400);
      return;
    }
    const added = letters((id === this.#userCaptionId ? text.slice(this.#userCaptionLength) : text).slice(-800));
    this.#userCaptionId = id;
    this.#userCaptionLength = text.length;
    if (added.length < PIECE_LETTERS || this.#isEcho(added)) return;
    this.#userSpoke = true;
    this.#suspicions = 0;
  }

  /** The model starts to be heard. */
  started() {
    this.#userSpoke = false;
    this.#inputs = [];
    this.#outputs = [];
  }

  /** The model was interrupted while it was heard. */
  interrupted() {
    if (this.#userSpoke || !this.#inputFollowsOutput()) this.#suspicions = 0;
    else this.#suspicions += 1;
    if (this.#suspicions < SUSPICIONS) return;
    this.#suspicions = 0;
    this.#onecho();
  }

  /** Whether at least half of a text is in the model's own words. @param {string} text */
  #isEcho(text) {
    let known = 0;
    const pieces = text.length - PIECE_LETTERS + 1;
    for (let at = 0; at < pieces; at++) if (this.#modelText.includes(text.slice(at, at + PIECE_LETTERS))) known += 1;
    return known >= pieces / 2;
  }

  #inputFollowsOutput() {
    for (let lag = 0; lag <= MAX_LAG; lag++) {
      const outputs = this.#outputs.slice(0, this.#outputs.length - lag);
      if (correlation(this.#inputs.slice(lag), outputs) > MIN_CORRELATION) return true;
    }
    return false;
  }
}

/** @param {string} text */
const letters = (text) => text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');

/**
 * Pearson's correlation, -1 to 1. Returns 0 when a series is constant or too short.
 * @param {number[]} a @param {number[]} b
 */
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
