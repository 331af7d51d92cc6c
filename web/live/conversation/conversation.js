/**
 * What a running session means: server facts and played sound become captions, tool calls and a state.
 *
 * Owns: whose turn it is. Needs protocol.js, captions.js, model-rules.js,
 * tool-runner.js once there are functions or calls. Leaves starting, ending and
 * sound to others.
 */
import { Captions } from './captions.js';
import { LiveError, loaded } from '../shared/errors.js';
import { rulesFor } from '../shared/model-rules.js';
import { readServerMessage } from '../shared/protocol.js';

/** @typedef {import('../shared/protocol.js').ServerFact} ServerFact */
/** @typedef {import('./tool-runner.js').ToolRunner} ToolRunner */
/** @typedef {import('../shared/events.js').LiveEvents} LiveEvents */
/** @typedef {<K extends keyof LiveEvents>(type: K, detail: LiveEvents[K]) => void} Emit */
/** @template {ServerFact['type']} T @typedef {Extract<ServerFact, {type: T}>} Fact */
/** @typedef {{turn: number, position: number}} Place the turn, and how many samples of it came before */
/**
 * @typedef {object} ConversationOptions
 * @property {Record<string, import('./tool-runner.js').Tool>} [tools] the functions that the model may call
 * @property {number} [toolTimeoutMs] after which a call is answered with an error; 30 000
 * @property {{role: 'user' | 'model', text: string}[]} [history] what was said before, e.g. an earlier `transcript`
 */
/**
 * @typedef {object} Surroundings
 * @property {Emit} emit
 * @property {(message: Record<string, any>) => void} send
 * @property {() => void} changed the state may be another one now
 * @property {() => boolean} audible whether sound is being played at all
 * @property {() => number} lagSamples what was played and is still on its way to the ear
 * @property {(held: boolean) => void} hold keeps the microphone's sound back, or lets it go
 * @property {import('./transcript.js').Transcript} transcript
 * @property {import('../shared/diagnostics.js').Diagnostics} diagnostics
 */

export class Conversation {
  #out;
  #prefix;
  #history;
  #captions;
  #options;
  /** @type {ToolRunner | null} */
  #tools = null;
  /** @type {Promise<void> | null} */
  #fetching = null;
  #name = '';
  /** Until the model is known, what a current one does. */
  #rules = rulesFor();
  /** @type {Record<string, any> | undefined} */
  #setup;
  #held = false;
  #speaking = false;
  /** The user has said something that is not answered yet. */
  #awaiting = false;
  /** The service says that it works on, though its turn is over. */
  #busy = false;
  /** The last turn that the model has answered in, and the last that was cut off. */
  #answeredTurn = 0;
  #cutTurn = 0;

  /**
   * @param {Surroundings} out
   * @param {ConversationOptions} options
   * @param {string} prefix of caption ids
   */
  constructor(out, options, prefix) {
    this.#out = out;
    this.#options = options;
    this.#history = (options.history ?? []).map(({ role, text }) => ({ role, parts: [{ text }] }));
    this.#prefix = prefix;
    this.#captions = new Captions((caption) => {
      out.transcript.take(caption);
      out.emit('caption', caption);
    }, prefix);
  }

  /** Has at hand what runs functions, where there are any. Rejects with a LiveError when it cannot be loaded. */
  async prepare() {
    if (this.#options.tools) await this.#fetchTools();
  }

  /** Which model it is, and how it was set up. @param {string} [model] @param {Record<string, any>} [setup] */
  meet(model = '', setup) {
    this.#name = model;
    this.#rules = rulesFor(model);
    this.#setup = setup;
  }

  /** Its name and what it takes. */
  get model() {
    return { name: this.#name, ...this.#rules };
  }

  /** @returns {'speaking' | 'thinking' | 'listening'} */
  get state() {
    if (this.#speaking) return 'speaking';
    return this.#awaiting || this.#busy || this.#tools?.waiting ? 'thinking' : 'listening';
  }

  /** The user has typed something. @param {string} text @returns {number} which one of this start */
  typed(text) {
    const typed = this.#captions.typed(text);
    this.#awaiting = true;
    this.#out.changed();
    return typed;
  }

  /** @param {Record<string, any>} message @param {Place} place */
  receive(message, place) {
    this.#out.emit('message', { message });
    this.#captions.came(place.turn, place.position);
    for (const fact of readServerMessage(message)) {
      // Each entry takes its own kind of fact; the table's type has checked that.
      const act = /** @type {((fact: ServerFact, place: Place) => void) | undefined} */ (this.#acts[fact.type]);
      act?.(fact, place);
    }
    this.#out.changed();
  }

  /** @param {import('../audio/speaker.js').PlaybackReport} report */
  played(report) {
    if (report.type === 'meter') this.#captions.heard(report.turn, report.played - this.#out.lagSamples());
    else if (report.type === 'silent') this.#captions.cutAt(report.turn, report.played);
    else if (report.type === 'started' && report.turn > this.#cutTurn) {
      this.#speaking = true;
      this.#awaiting = false;
    } else if (report.type === 'drained') {
      this.#speaking = false;
      this.#captions.soundEnded(report.turn);
    }
    if (report.type !== 'meter') this.#out.changed();
  }

  /**
   * The connection is gone, and with it the rest of the turn and the calls that no handle knows of: their answers
   * would be refused.
   * @param {Place} place @param {string[]} calls
   */
  broken({ turn, position }, calls) {
    this.#awaiting = this.#busy = false;
    this.#withTools((tools) => tools.cancel(calls, 'connection'));
    this.#captions.turnComplete(turn, position > 0 && this.#out.audible());
    this.#toolsChanged();
  }

  /** The service has to begin anew: it knows none of its calls. */
  forget() {
    this.#withTools((tools) => tools.cancelAll('connection'));
    this.#toolsChanged();
  }

  /**
   * What a new session is to know, as `clientContent.turns`.
   * @param {boolean} all what was said in this start, too @param {number} typed so many lines have gone out; the rest will
   */
  seed(all, typed) {
    return [...this.#history, ...(all ? this.#out.transcript.contents(this.#prefix, typed) : [])];
  }

  /** No more answers to functions. */
  stop() {
    this.#withTools((tools) => tools.cancelAll('ended'));
  }

  /** @type {{[T in ServerFact['type']]?: (fact: Fact<T>, place: Place) => void}} */
  #acts = {
    audio: (_fact, place) => this.#answering(place),
    modelText: ({ text, thought }, place) => {
      this.#answering(place);
      if (!thought) return;
      this.#awaiting ||= !this.#speaking;
      this.#out.emit('thought', { turn: place.turn, text });
    },
    outputText: ({ text, language }, place) => {
      this.#answering(place);
      // Without running playback nothing would ever count as heard.
      this.#captions.modelSaid(place.turn, text, this.#out.audible() ? place.position : null, language);
    },
    inputText: ({ text, finished, language }, { turn }) => {
      this.#captions.userSaid(turn, text, finished, language);
      if (turn > this.#answeredTurn) this.#awaiting = true;
    },
    interimInputText: ({ text, language }, { turn }) => this.#captions.userMayHaveSaid(turn, text, language),
    voiceActivity: ({ active }) => (this.#awaiting = !active),
    waitingForInput: () => {
      this.#awaiting = false;
      this.#busy = false;
    },
    interrupted: (_fact, { turn }) => {
      this.#cutTurn = turn;
      this.#speaking = false;
      this.#awaiting = false;
      this.#captions.interrupted(turn, this.#out.audible());
    },
    turnComplete: (_fact, { turn, position }) => {
      this.#awaiting = false;
      this.#captions.turnComplete(turn, position > 0 && this.#out.audible());
    },
    interactionStatus: ({ status }) => (this.#busy = status === 'IN_PROGRESS'),
    toolCall: ({ calls }) => void this.#call(calls),
    toolCallCancellation: ({ ids }) => {
      this.#withTools((tools) => tools.cancel(ids, 'service'));
      this.#toolsChanged();
    },
    grounding: ({ links, queries }, { turn }) => this.#out.emit('grounding', { turn, links, queries }),
    usage: ({ usage }) => {
      this.#out.diagnostics.used(usage);
      this.#out.emit('usage', usage);
    },
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
    try {
      const fetching = this.#fetchTools();
      if (!this.#tools) await fetching;
      void this.#tools?.run(calls);
    } catch (cause) {
      const error = LiveError.from(cause, 'tool-failed');
      this.#respond(calls.map(({ id, name }) => ({ id, name, response: { error: error.detail } })));
      this.#out.emit('error', { error });
    }
  }

  /** What is told to the runner while it is on its way reaches it in order. @param {(tools: ToolRunner) => void} act */
  #withTools(act) {
    if (this.#tools) act(this.#tools);
    else this.#fetching?.then(() => this.#tools && act(this.#tools)).catch(() => {});
  }

  /** Again after a failure. */
  #fetchTools() {
    this.#fetching ??= this.#loadTools().catch((error) => {
      this.#fetching = null;
      throw error;
    });
    return this.#fetching;
  }

  async #loadTools() {
    const { ToolRunner } = await loaded(import('./tool-runner.js'));
    const surroundings = {
      respond: (/** @type {import('./tool-runner.js').Answer[]} */ answers) => this.#respond(answers),
      rules: () => this.#rules,
      declared: () => this.#setup?.tools ?? [],
      emit: this.#out.emit,
      changed: () => this.#toolsChanged(),
    };
    this.#tools = new ToolRunner(surroundings, this.#options);
  }

  /** @param {import('./tool-runner.js').Answer[]} functionResponses */
  #respond(functionResponses) {
    this.#out.send({ toolResponse: { functionResponses } });
  }

  #toolsChanged() {
    const held = this.#rules.holdsMicrophone && !!this.#tools?.waiting;
    if (held !== this.#held) this.#out.hold(held);
    this.#held = held;
    this.#out.changed();
  }
}
