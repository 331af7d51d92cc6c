/**
 * Counts the model's turns and sends their audio to the playback worklet, past the page's thread.
 * Leaves it to the worklet when to play.
 */
import { epochNow } from '../shared/clock.js';
import { VoiceDecoder } from './voice-decoder.js';

/** @typedef {import('../shared/protocol.js').ServerFact} ServerFact */

/** Facts that belong to the next turn once a turn is over. */
const TURN_OPENERS = new Set(['audio', 'modelText', 'outputText', 'inputText', 'interimInputText', 'toolCall']);

/** Transcripts are made beside the conversation. They may come after the end of their turn. */
const WORDS = new Set(['inputText', 'interimInputText', 'outputText']);
/** Words that come later than this after a turn are the next turn's. */
const LATE_MS = 2000;

/** @param {ServerFact} fact */
export const opensTurn = (fact) => TURN_OPENERS.has(fact.type);

export class TurnPlayback {
  /** The playback worklet's port. @type {MessagePort | null} */
  port = null;
  #decoder = new VoiceDecoder();
  #turnOver = false;
  /** When the service ended the turn, epoch milliseconds. -Infinity: it has not, or the user has asked again since. */
  #overAt = -Infinity;
  /** Words of the current frame belong to the turn that is over. */
  #late = false;
  /** The turn was cut off. Words that follow without audio are its own. */
  #cutOff = false;
  /** It was cut off by the user here, who has not asked for an answer since. */
  #stopped = false;
  /** The current turn, and how many of its samples have arrived. */
  turn = 1;
  position = 0;

  /**
   * Moves to the next turn if these facts open one.
   * @param {ServerFact[]} facts of one frame @param {number} loudAt when the microphone was last loud, epoch milliseconds
   */
  receive(facts, loudAt) {
    const opening = facts.filter(opensTurn);
    this.#late =
      loudAt <= this.#overAt && epochNow() - this.#overAt < LATE_MS && opening.every(({ type }) => WORDS.has(type));
    const opens = opening.some((fact) => !this.isLate(fact) && !(this.#cutOff && fact.type === 'outputText'));
    if (!this.#turnOver || !opens) return;
    this.turn += 1;
    this.position = 0;
    this.#turnOver = this.#cutOff = this.#stopped = false;
    this.#overAt = -Infinity;
  }

  /** The words belong to the turn that is over: the user has said nothing since. @param {ServerFact} fact of the frame */
  isLate(fact) {
    return this.#late && WORDS.has(fact.type);
  }

  /** The user asks for an answer, so words that come after the turn are the answer's. */
  asked() {
    this.#overAt = -Infinity;
    this.#stopped = false;
    this.#cutOff &&= !this.#turnOver;
  }

  /** The model speaks, and the service has not ended the turn. */
  get speaking() {
    return this.position > 0 && !this.#turnOver;
  }

  /** The user stops the turn that has audio: silent at once. @param {number} at epoch milliseconds @returns {number} the turn */
  stop(at) {
    // The next turn may have begun with the user's words.
    const turn = this.position > 0 ? this.turn : this.turn - 1;
    this.#stopped = true;
    this.#cut(turn, at);
    return turn;
  }

  /** @param {ServerFact} fact @param {number} receivedAt */
  play(fact, receivedAt) {
    if (fact.type === 'audio') {
      const { samples, stray } = this.#decoder.decode(fact.data, fact.mimeType);
      this.#post(samples, receivedAt, stray);
    } else if (fact.type === 'interrupted') {
      this.#turnOver = true;
      this.#cut(this.turn, receivedAt);
    } else if (fact.type === 'generationComplete' || fact.type === 'turnComplete') {
      if (fact.type === 'turnComplete') {
        if (!this.#turnOver) this.#overAt = receivedAt;
        this.#turnOver = true;
        this.#cutOff &&= this.#stopped;
      }
      this.#finish(receivedAt);
    }
  }

  /** The connection is gone. Audio that arrived plays to its end, and audio that follows is another turn. @param {boolean} busy */
  disconnected(busy) {
    this.#turnOver ||= busy || this.position > 0;
    this.#finish(epochNow());
  }

  /** @param {number} turn @param {number} receivedAt */
  #cut(turn, receivedAt) {
    this.#cutOff = true;
    this.#decoder.reset();
    this.port?.postMessage({ type: 'cut', turn, receivedAt });
  }

  /** @param {number} receivedAt */
  #finish(receivedAt) {
    this.#post(this.#decoder.flush(), receivedAt, 0);
    this.port?.postMessage({ type: 'finish', turn: this.turn });
  }

  /** @param {Int16Array<ArrayBuffer>} samples @param {number} receivedAt @param {number} stray */
  #post(samples, receivedAt, stray) {
    if (samples.length + stray === 0) return;
    this.position += samples.length;
    this.port?.postMessage({ type: 'audio', samples, turn: this.turn, receivedAt, stray }, [samples.buffer]);
  }
}
