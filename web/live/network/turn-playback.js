/**
 * Counts the model's turns and sends their audio to the playback worklet, past the page's thread.
 * Leaves it to the worklet when to play.
 */
import { epochNow } from '../shared/clock.js';
import { VoiceDecoder } from './voice-decoder.js';

/** @typedef {import('../shared/protocol.js').ServerFact} ServerFact */

/** Facts that belong to the next turn once a turn is over. */
const TURN_OPENERS = new Set(['audio', 'modelText', 'outputText', 'inputText', 'interimInputText', 'toolCall']);

/** @param {ServerFact} fact */
export const opensTurn = (fact) => TURN_OPENERS.has(fact.type);

export class TurnPlayback {
  /** The playback worklet's port. @type {MessagePort | null} */
  port = null;
  #decoder = new VoiceDecoder();
  #turnOver = false;
  /** The current turn, and how many of its samples have arrived. */
  turn = 1;
  position = 0;

  /** Moves to the next turn if these facts open one. @param {ServerFact[]} facts of one frame */
  receive(facts) {
    if (!this.#turnOver || !facts.some(opensTurn)) return;
    this.turn += 1;
    this.position = 0;
    this.#turnOver = false;
  }

  /** @param {ServerFact} fact @param {number} receivedAt */
  play(fact, receivedAt) {
    if (fact.type === 'audio') {
      const { samples, stray } = this.#decoder.decode(fact.data, fact.mimeType);
      this.#post(samples, receivedAt, stray);
    } else if (fact.type === 'interrupted') {
      this.#turnOver = true;
      this.#decoder.reset();
      this.port?.postMessage({ type: 'cut', turn: this.turn, receivedAt });
    } else if (fact.type === 'generationComplete' || fact.type === 'turnComplete') {
      this.#turnOver ||= fact.type === 'turnComplete';
      this.#finish(receivedAt);
    }
  }

  /** The connection is gone. Audio that arrived plays to its end, and audio that follows is another turn. @param {boolean} busy */
  disconnected(busy) {
    this.#turnOver ||= busy || this.position > 0;
    this.#finish(epochNow());
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
