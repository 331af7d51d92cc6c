/**
 * The content of a running session: turns server facts and playback reports into captions, tool calls and a state.
 * Decides whose turn it is. Leaves starting, ending and audio to others.
 */
import { LiveError, lazyModule } from '../shared/errors.js';
import { onlyWrites, rulesFor } from '../shared/model-rules.js';
import { OUTPUT_RATE } from '../shared/pcm.js';
import { Captions } from './captions.js';

/** @typedef {import('../shared/protocol.js').ServerFact} ServerFact */
/** @typedef {import('./tool-runner.js').ToolRunner} ToolRunner */
/** @template {ServerFact['type']} T @typedef {Extract<ServerFact, {type: T}>} Fact */
/** @typedef {{turn: number, position: number}} Place a turn, and how many samples of it came before */
/**
 * @typedef {object} ConversationOptions
 * @property {Record<string, import('./tool-runner.js').Tool>} [tools] the functions that the model may call
 * @property {number} [toolTimeoutMs] after this time a call is answered with an error; 30 000
 * @property {{role: 'user' | 'model', text: string}[]} [history] an earlier conversation, e.g. an earlier `transcript`
 */
/**
 * @typedef {object} ConversationHost
 * @property {import('../shared/events.js').Emit} emit
 * @property {(message: Record<string, any>) => void} send
 * @property {() => void} changed the state may have changed
 * @property {{running: boolean, latencySeconds: number} | undefined} speaker
 * @property {(held: boolean) => void} hold holds back the microphone's audio, or releases it
 * @property {import('./transcript.js').Transcript} transcript
 * @property {import('../shared/diagnostics.js').Diagnostics} diagnostics
 */

export class Conversation {
  #host;
  #captions;
  #options;
  /** @type {ToolRunner | null} */
  #tools = null;
  /** @type {Promise<void> | null} */
  #toolsLoading = null;
  #modelName = '';
  /** Until the model is known, the rules of a current one. */
  #rules = rulesFor();
  /** Of the token. @type {Record<string, any> | undefined} */
  setup;
  /** @type {typeof import('../shared/heard.js').readHeard | null} */
  #readHeard = null;
  #held = false;
  #speaking = false;
  /** The user said something that has no answer yet. */
  #awaitingAnswer = false;
  /** The service reports that it still works, although its turn is over. */
  #serviceWorking = false;
  /** The answer is late. */
  #waiting = false;
  #lastAnsweredTurn = 0;
  #lastInterruptedTurn = 0;

  /**
   * @param {ConversationHost} host
   * @param {ConversationOptions} options
   * @param {string} idPrefix of caption ids
   */
  constructor(host, options, idPrefix) {
    this.#host = host;
    this.#options = options;
    this.#captions = new Captions((caption) => {
      host.transcript.update(caption);
      host.emit('caption', caption);
    }, idPrefix);
  }

  /** Loads the tool runner if there are functions. Rejects with a LiveError when it cannot be loaded. */
  async prepare() {
    if (this.#options.tools) await this.#loadTools();
  }

  /** @param {string} [name] @param {Record<string, any>} [setup] */
  useModel(name = '', setup) {
    this.#modelName = name;
    this.#rules = rulesFor(name);
    this.setup = setup;
    if (!this.#rules.replies) this.#loadHeard();
  }

  /** Whether audio is being played at all. */
  get #audible() {
    return !!this.#host.speaker?.running;
  }

  get model() {
    return { name: this.#modelName, ...this.#rules };
  }

  /** @returns {'speaking' | 'waiting' | 'thinking' | 'listening'} */
  get state() {
    if (this.#speaking) return 'speaking';
    if (this.#waiting) return 'waiting';
    return this.#awaitingAnswer || this.#serviceWorking || this.#tools?.waiting ? 'thinking' : 'listening';
  }

  /** Speakers and times that come before it has loaded are left out. With a dictation it has loaded by then. */
  #loadHeard() {
    import('../shared/heard.js').then(
      ({ readHeard }) => {
        this.#readHeard = readHeard;
      },
      () => {},
    );
  }

  /** @param {string} text @returns {number} counts the typed texts of this start */
  addTypedText(text) {
    const count = this.#captions.addTypedText(text);
    this.#awaitingAnswer = this.#rules.replies;
    this.#host.changed();
    return count;
  }

  /** @param {Record<string, any>} message a frame @param {ServerFact[]} facts what it says @param {Place} place */
  receive(message, facts, place) {
    this.#host.emit('message', { message });
    this.#captions.setLength(place.turn, place.position);
    for (const fact of facts) {
      // Each handler takes its own kind of fact. The type of the table has checked that.
      const handle = /** @type {((fact: ServerFact, place: Place) => void) | undefined} */ (this.#handlers[fact.type]);
      handle?.(fact, place);
    }
    this.#host.changed();
  }

  /** @param {import('../shared/audio-messages.js').PlaybackReport} report */
  onPlayback(report) {
    if (report.type === 'meter') {
      const lag = Math.round((this.#host.speaker?.latencySeconds ?? 0) * OUTPUT_RATE);
      this.#captions.played(report.turn, report.played - lag);
    } else if (report.type === 'silent') this.#captions.cutAt(report.turn, report.played);
    else if (report.type === 'started' && report.turn > this.#lastInterruptedTurn) {
      this.#speaking = true;
      this.#awaitingAnswer = false;
    } else if (report.type === 'drained') {
      this.#speaking = false;
      this.#captions.drained(report.turn);
    }
    if (report.type !== 'meter') this.#host.changed();
  }

  /** The user has stopped a turn. Functions go on, unless the service cancels them. @param {number} turn */
  stopped(turn) {
    this.#interrupted(turn);
    this.#serviceWorking = false;
    this.#host.changed();
  }

  /** The answer is late, or no longer. @param {boolean} waiting */
  wait(waiting) {
    this.#waiting = waiting;
    if (waiting) this.#awaitingAnswer = true;
    this.#host.changed();
  }

  /** @param {number} turn */
  #interrupted(turn) {
    this.#lastInterruptedTurn = turn;
    this.#speaking = this.#awaitingAnswer = false;
    this.#captions.interrupted(turn, this.#audible);
  }

  /**
   * The connection broke. The rest of the turn is lost. So are the calls that no resumption handle includes: the
   * service would refuse their answers.
   * @param {Place} place @param {string[]} lostCalls
   */
  disconnected({ turn, position }, lostCalls) {
    this.#awaitingAnswer = this.#waiting;
    this.#serviceWorking = false;
    this.#withTools((tools) => tools.cancel(lostCalls, 'connection'));
    this.#captions.turnComplete(turn, position > 0 && this.#audible);
    this.#toolsChanged();
  }

  /** The service starts a new session, which knows none of the calls. */
  dropCalls() {
    this.#withTools((tools) => tools.cancelAll('connection'));
    this.#toolsChanged();
  }

  /** The session has ended: functions are cancelled and send no answers. */
  stop() {
    this.#withTools((tools) => tools.cancelAll('ended'));
  }

  /** @type {{[T in ServerFact['type']]?: (fact: Fact<T>, place: Place) => void}} */
  #handlers = {
    audio: (_fact, { turn }) => {
      this.#lastAnsweredTurn = turn;
    },
    modelText: ({ text, thought }, { turn }) => {
      this.#lastAnsweredTurn = turn;
      if (!thought && onlyWrites(this.setup)) this.#captions.addAnswer(turn, text, null);
      if (!thought || turn <= this.#lastInterruptedTurn) return;
      this.#awaitingAnswer ||= !this.#speaking;
      this.#host.emit('thought', { turn, text });
    },
    outputText: ({ text, language }, { turn, position }) => {
      this.#lastAnsweredTurn = turn;
      // Without running playback no text would ever count as heard.
      this.#captions.addAnswer(turn, text, this.#audible ? position : null, language);
    },
    inputText: ({ text, finished, language, details }, { turn }) => {
      const { replies } = this.#rules;
      if (details) this.#loadHeard();
      const heard = details && this.#readHeard?.(details);
      this.#captions.addUserText(turn, text, finished || !replies, language, heard, !replies);
      if (replies && turn > this.#lastAnsweredTurn) this.#awaitingAnswer = true;
    },
    interimInputText: ({ text, language }, { turn }) => this.#captions.showGuess(turn, text, language),
    voiceActivity: ({ active }) => {
      this.#awaitingAnswer = !active && this.#rules.replies;
    },
    waitingForInput: () => {
      this.#awaitingAnswer = false;
      this.#serviceWorking = false;
    },
    interrupted: (_fact, { turn }) => this.#interrupted(turn),
    turnComplete: (_fact, { turn, position }) => {
      this.#lastAnsweredTurn = turn; // words of it that come later wait for nothing
      this.#awaitingAnswer = false;
      this.#captions.turnComplete(turn, position > 0 && this.#audible);
    },
    interactionStatus: ({ status }) => {
      this.#serviceWorking = status === 'IN_PROGRESS';
    },
    toolCall: ({ calls }) => void this.#runCalls(calls),
    toolCallCancellation: ({ ids }) => {
      this.#withTools((tools) => tools.cancel(ids, 'service'));
      this.#toolsChanged();
    },
    grounding: ({ metadata }, { turn }) => void this.#nameSources(metadata, turn),
    usage: ({ usage }, { turn, position }) => void this.#count(usage, turn, position / OUTPUT_RATE),
    unknown: ({ key }) => this.#note(this.#host.diagnostics.unknown(key)),
    unreadable: () => this.#note(this.#host.diagnostics.unreadable()),
  };

  /** @param {boolean} changed whether the figures have */
  #note(changed) {
    const { diagnostics, emit } = this.#host;
    if (changed) emit('diagnostics', diagnostics.snapshot());
  }

  /** @param {Record<string, any>} metadata @param {number} turn */
  async #nameSources(metadata, turn) {
    const module = await import('../shared/sources.js').catch(() => null); // an answer without its sources is an answer
    if (module && turn > this.#lastInterruptedTurn) {
      this.#host.emit('grounding', { turn, ...module.readSources(metadata) });
    }
  }

  /** @param {Record<string, any>} usage @param {number} turn @param {number} seconds of the turn's audio so far */
  async #count(usage, turn, seconds) {
    const { diagnostics, emit } = this.#host;
    await diagnostics.used({ usage, turn, seconds }).catch(() => {}); // it is counted with the next one
    emit('usage', { ...usage, counts: diagnostics.snapshot().usage });
  }

  /** @param {Fact<'toolCall'>['calls']} calls */
  async #runCalls(calls) {
    try {
      const loading = this.#loadTools();
      if (!this.#tools) await loading;
      void this.#tools?.run(calls);
    } catch (cause) {
      const error = LiveError.from(cause, 'tool-failed');
      this.#respond(calls.map(({ id, name }) => ({ id, name, response: { error: error.detail } })));
      this.#host.emit('error', { error });
    }
  }

  /** Acts on the tool runner in order, even while it is still loading. @param {(tools: ToolRunner) => void} act */
  #withTools(act) {
    if (this.#tools) act(this.#tools);
    else this.#toolsLoading?.then(() => this.#tools && act(this.#tools)).catch(() => {});
  }

  /** After a failure the next call tries again. */
  #loadTools() {
    this.#toolsLoading ??= this.#createTools().catch((error) => {
      this.#toolsLoading = null;
      throw error;
    });
    return this.#toolsLoading;
  }

  async #createTools() {
    const { ToolRunner } = await lazyModule(import('./tool-runner.js'));
    const host = {
      respond: (/** @type {import('./tool-runner.js').Answer[]} */ answers) => this.#respond(answers),
      rules: () => this.#rules,
      declared: () => this.setup?.tools ?? [],
      emit: this.#host.emit,
      changed: () => this.#toolsChanged(),
    };
    this.#tools = new ToolRunner(host, this.#options);
  }

  /** @param {import('./tool-runner.js').Answer[]} functionResponses */
  #respond(functionResponses) {
    this.#host.send({ toolResponse: { functionResponses } });
  }

  #toolsChanged() {
    const held = this.#rules.holdsMicrophone && !!this.#tools?.waiting;
    if (held !== this.#held) this.#host.hold(held);
    this.#held = held;
    this.#host.changed();
  }
}
