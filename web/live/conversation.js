/**
 * What a running session means: server facts and played sound become captions, tool calls and a state.
 *
 * Owns: whose turn it is. Needs protocol.js, captions.js, tool-runner.js. Leaves starting, ending and sound to others.
 */
import { Captions } from './captions.js';
import { readServerMessage, toolResponseMessage } from './protocol.js';
import { ToolRunner } from './tool-runner.js';

/** @typedef {import('./protocol.js').ServerFact} ServerFact */
/** @typedef {import('./events.js').LiveEvents} LiveEvents */
/** @typedef {<K extends keyof LiveEvents>(type: K, detail: LiveEvents[K]) => void} Emit */
/** @template {ServerFact['type']} T @typedef {Extract<ServerFact, {type: T}>} Fact */
/** @typedef {{turn: number, position: number}} Place the turn, and how many samples of it came before */
/**
 * @typedef {object} Surroundings
 * @property {Emit} emit
 * @property {(message: Record<string, any>) => void} send
 * @property {() => void} changed the state may be another one now
 * @property {() => boolean} audible whether sound is being played at all
 * @property {import('./diagnostics.js').Diagnostics} diagnostics
 */

/** What a new connection is told of an old conversation; more would cost more with each turn. */
const SEED_TURNS = 50;

export class Conversation {
  #out;
  #captions;
  #tools;
  #speaking = false;
  /** The user has said something that is not answered yet. */
  #awaiting = false;
  /** The service says that it works on, though its turn is over. */
  #busy = false;
  /** The last turn that the model has answered in, and the last that was cut off. */
  #answeredTurn = 0;
  #cutTurn = 0;
  /** @type {Map<string, import('./events.js').Caption>} */
  #said = new Map();

  /**
   * @param {Surroundings} out
   * @param {Record<string, import('./tool-runner.js').Tool>} tools
   * @param {string} prefix of caption ids
   */
  constructor(out, tools, prefix) {
    this.#out = out;
    this.#captions = new Captions((caption) => {
      this.#said.set(caption.id, caption);
      out.emit('caption', caption);
    }, prefix);
    this.#tools = new ToolRunner(tools, ({ id, name }, error) => {
      out.emit('toolresult', { id, name, ok: error === null });
      if (error) out.emit('error', { error });
    });
  }

  /** @returns {'speaking' | 'thinking' | 'listening'} */
  get state() {
    if (this.#speaking) return 'speaking';
    return this.#awaiting || this.#busy || this.#tools.pending > 0 ? 'thinking' : 'listening';
  }

  /** The user has typed something. */
  asked() {
    this.#awaiting = true;
    this.#out.changed();
  }

  /** @param {Record<string, any>} message @param {Place} place */
  receive(message, place) {
    this.#out.emit('message', { message });
    for (const fact of readServerMessage(message)) {
      // Each entry takes its own kind of fact; the table's type has checked that.
      const act = /** @type {((fact: ServerFact, place: Place) => void) | undefined} */ (this.#acts[fact.type]);
      act?.(fact, place);
    }
    this.#out.changed();
  }

  /** @param {import('./speaker.js').PlaybackReport} report */
  played(report) {
    if (report.type === 'meter') this.#captions.heard(report.turn, report.played);
    else if (report.type === 'started' && report.turn > this.#cutTurn) {
      this.#speaking = true;
      this.#awaiting = false;
    } else if (report.type === 'drained') {
      this.#speaking = false;
      this.#captions.soundEnded(report.turn);
    }
    if (report.type !== 'meter') this.#out.changed();
  }

  /** The connection is gone, and with it the rest of the turn and the calls that the service will not remember.
   * @param {Place} place @param {string[]} calls */
  broken({ turn, position }, calls) {
    this.#awaiting = this.#busy = false;
    this.#tools.cancel(calls);
    this.#captions.turnComplete(turn, position > 0 && this.#out.audible());
    this.#out.changed();
  }

  /** The service has to begin anew: it knows none of its calls. */
  forget() {
    this.#tools.cancelAll();
  }

  /** The last of what was said, as `clientContent.turns`. */
  seed() {
    return [...this.#said.values()]
      .filter(({ text }) => text.trim() !== '')
      .slice(-SEED_TURNS)
      .map(({ role, text }) => ({ role, parts: [{ text }] }));
  }

  /** No more answers to functions. */
  stop() {
    this.#tools.cancelAll();
  }

  /** @type {{[T in ServerFact['type']]?: (fact: Fact<T>, place: Place) => void}} */
  #acts = {
    audio: (_fact, place) => this.#answering(place),
    modelText: (_fact, place) => this.#answering(place),
    outputText: ({ text }, place) => {
      this.#answering(place);
      // Without running playback nothing would ever count as heard.
      this.#captions.modelSaid(place.turn, text, this.#out.audible() ? place.position : 0);
    },
    inputText: ({ text, finished }, { turn }) => {
      this.#captions.userSaid(turn, text, finished);
      if (turn > this.#answeredTurn) this.#awaiting = true;
    },
    interimInputText: ({ text }, { turn }) => this.#captions.userMayHaveSaid(turn, text),
    voiceActivity: ({ active }) => (this.#awaiting = !active),
    interrupted: (_fact, { turn }) => {
      this.#cutTurn = turn;
      this.#speaking = false;
      this.#awaiting = false;
      this.#captions.interrupted(turn);
    },
    turnComplete: (_fact, { turn, position }) => {
      this.#awaiting = false;
      this.#captions.turnComplete(turn, position > 0 && this.#out.audible());
    },
    interactionStatus: ({ status }) => (this.#busy = status === 'IN_PROGRESS'),
    toolCall: ({ calls }) => void this.#call(calls),
    toolCallCancellation: ({ ids }) => this.#tools.cancel(ids),
    usage: ({ usage }) => this.#out.emit('usage', usage),
    unknown: ({ key }) => {
      const { diagnostics, emit } = this.#out;
      if (diagnostics.unknown(key)) emit('diagnostics', diagnostics.snapshot());
    },
  };

  /** @param {Place} place */
  #answering({ turn }) {
    this.#answeredTurn = turn;
  }

  /** @param {Fact<'toolCall'>['calls']} calls */
  async #call(calls) {
    for (const { id, name, args = {} } of calls) this.#out.emit('toolcall', { id, name, args });
    const functionResponses = await this.#tools.run(calls);
    if (functionResponses.length > 0) this.#out.send(toolResponseMessage({ functionResponses }));
    this.#out.changed();
  }
}
