/**
 * The network side of a conversation: audio up, audio down, turns. Lives in a worker (network-worker.js), or on
 * the main thread where there is none; the page talks to it through one MessagePort either way.
 *
 * Owns: the order of turns, what waits for the line. Needs resilient-connection.js, send-queue.js, voice-decoder.js.
 * Leaves: captions, tools and states to the page; when to play to the playback worklet. Sound goes from here to the
 * worklet and from the capture worklet to here directly, so a busy page is not heard.
 */
import { encodeBase64 } from '../shared/base64.js';
import { epochNow } from '../shared/clock.js';
import { LiveError } from '../shared/errors.js';
import { ResilientConnection } from './resilient-connection.js';
import { INPUT_MIME } from '../shared/pcm.js';
import { readServerMessage, withoutAudio } from '../shared/protocol.js';
import { SendQueue } from './send-queue.js';
import { VoiceDecoder } from './voice-decoder.js';

/**
 * What the page asks for. `seeded`: the first session is to be told something, too. `leased`: the page gives the session back to the broker itself.
 * @typedef {{type: 'start', plan: import('./token-source.js').TokenPlan, playback: MessagePort, capture?: MessagePort,
 *     muted: boolean, active?: boolean | null, seeded?: boolean}
 *   | {type: 'ports', playback?: MessagePort, capture?: MessagePort}
 *   | {type: 'send', message: Record<string, any>, typed?: number} | {type: 'mute', muted: boolean}
 *   | {type: 'hold', held: boolean}
 *   | {type: 'picture', bitmap: ImageBitmap}
 *   | {type: 'activity', active: boolean | null} | {type: 'online', online: boolean}
 *   | {type: 'reply', id: number, value?: any, error?: import('../shared/errors.js').LiveErrorFields}
 *   | {type: 'stop', leased: boolean}} NetworkCommand
 */
/** @typedef {{message: Record<string, any>, typed?: number}} Said `typed`: which line of what was typed in this start */
/** @typedef {{state: 'ok' | 'slow' | 'offline' | 'silent', droppedMs: number}} Network */
/** @typedef {{endsAt: number, remainingMs: number, renewedAt: number}} Clock */
/**
 * What the page is told. `at` and `receivedAt` are epoch milliseconds. `ask` wants a `reply` with its id: of `plan` how to
 * get the next token, of `seed` the text so far as contents, of `report` the figures for the broker.
 * @typedef {{type: 'hello'} | {type: 'granted', at: number, manual: boolean, session?: {id: string}, model?: string,
 *     setup?: Record<string, any>} | {type: 'opened', at: number}
 *   | {type: 'ready', at: number}
 *   | {type: 'message', message: Record<string, any>, turn: number, position: number}
 *   | {type: 'ask', id: number, what: 'plan' | 'seed' | 'report', detail?: any}
 *   | {type: 'broken', turn: number, position: number, calls: string[]}
 *   | {type: 'reconnecting', attempt: number, delayMs: number, reason: string}
 *   | {type: 'reconnected', resumed: boolean, seeded: boolean, planned: boolean, gapMs: number}
 *   | ({type: 'network'} & Network)
 *   | ({type: 'clock'} & Clock)
 *   | {type: 'failed', error: import('../shared/errors.js').LiveErrorFields}} NetworkReport
 */

/** How long after the release of push-to-talk the microphone is still heard: the last syllable is on its way. */
const RELEASE_MS = 120;
/** Nobody has spoken for so long: an answer would have begun by now. */
const QUIET_MS = 2500;
/** How much of the page's own may wait for the line; pictures never do. */
const MAX_HELD = 200;
/** What may wait in the socket when a picture comes. It is bigger than a second of speech, which must not wait for it. */
const PICTURE_BUFFERED_BYTES = 16 * 1024;
const ASK_TIMEOUT_MS = 10_000;
const NETWORK_MS = 250;

export class NetworkSession {
  #port;
  #onstopped;
  #stopped = false;
  #line;
  /** @type {MessagePort | null} */
  #playback = null;
  /** @type {MessagePort | null} */
  #capture = null;
  #uplink;
  #decoder = new VoiceDecoder();
  #muted = false;
  /** Push-to-talk: pressed or not; null without it. @type {boolean | null} */
  #talking = null;
  /** The page has said whether push-to-talk is used; otherwise the setup does. */
  #chosen = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #releasing;
  /** The setup leaves it to us to say when the user speaks. */
  #manual = false;
  #activityOpen = false;
  /** The turn that arriving audio belongs to, and how many of its samples have come. */
  #turn = 1;
  #position = 0;
  #turnOver = false;
  /** Something was said that is not answered to its end. */
  #busy = false;
  #working = false;
  /** What was to be said while the service could not be spoken to. @type {Said[]} */
  #held = [];
  /** The last typed line that went out. */
  #typed = 0;
  /** Calls of functions: all; those that no handle knows of yet; those that the service has forgotten. @type {Set<string>} */
  #calls = new Set();
  /** @type {Set<string>} */
  #newCalls = new Set();
  /** @type {Set<string>} */
  #lostCalls = new Set();
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: LiveError) => void}>} */
  #asked = new Map();
  #asks = 0;
  /** @type {Network} */
  #network = { state: 'ok', droppedMs: 0 };
  #watching = setInterval(() => this.#watchNetwork(), NETWORK_MS);

  /**
   * @param {MessagePort} port to the page
   * @param {() => void} [onstopped] after the socket is closed
   * @param {import('./resilient-connection.js').Connect} [connect] another client's, in place of our own
   */
  constructor(port, onstopped = () => {}, connect) {
    this.#port = port;
    this.#onstopped = onstopped;
    this.#line = new ResilientConnection({
      ask: (what, detail) => this.#ask(what, what === 'seed' ? { typed: this.#typed } : detail),
      tell: (report) => this.#tell(report),
      receive: (message) => this.#receive(message),
      calm: () => !this.#busy && !this.#working && !this.#activityOpen && epochNow() - this.#uplink.loudAt > QUIET_MS,
      granted: (answer) => this.#granted(answer),
      up: (resumed) => this.#flush(resumed),
      down: () => this.#breakOff(),
      over: (error) => this.#fail(error),
    }, connect);
    this.#uplink = new SendQueue(
      (sound) => {
        if (typeof sound === 'boolean') this.#markActivity(sound);
        else {
          // Speech that has ended wants some reaction.
          const quietMs = epochNow() - this.#uplink.loudAt;
          const audio = { data: encodeBase64(sound), mimeType: INPUT_MIME };
          this.#sayNow({ audio }, quietMs > QUIET_MS / 2 && quietMs < QUIET_MS);
        }
      },
      () => this.#line.bufferedBytes,
    );
    port.onmessage = ({ data }) => this.#obey(data);
    this.#tell({ type: 'hello' });
  }

  /** @param {NetworkCommand} command */
  #obey(command) {
    if (command.type === 'start') void this.#start(command);
    else if (command.type === 'send') this.#say(command);
    else if (command.type === 'ports') this.#join(command);
    else if (command.type === 'picture') void this.#show(command.bitmap);
    else if (command.type === 'hold') this.#uplink.hold(command.held);
    else if (command.type === 'mute') {
      this.#muted = command.muted;
      this.#gate();
    } else if (command.type === 'activity') this.#talk(command.active);
    else if (command.type === 'online') this.#line.setOnline(command.online);
    else if (command.type === 'reply') this.#take(command);
    else this.#stop(command.leased);
  }

  /** @param {NetworkCommand & {type: 'start'}} command */
  async #start({ plan, muted, active, seeded = false, ...ports }) {
    this.#join(ports);
    this.#muted = muted;
    this.#chosen = active !== undefined;
    this.#talking = active ?? null;
    this.#uplink.muted = muted || active === false;
    try {
      await this.#line.start(plan, seeded);
    } catch (cause) {
      this.#fail(LiveError.from(cause, 'connection-lost'));
    }
  }

  /** @param {import('./token-source.js').TokenAnswer} answer */
  #granted({ setup, session, model }) {
    this.#manual = !!setup?.realtimeInputConfig?.automaticActivityDetection?.disabled;
    if (this.#manual && !this.#chosen) {
      this.#talking = false;
      this.#gate();
      this.#uplink.forget(); // what was heard so far was not meant for anybody
    }
    const lease = session && { id: session.id };
    this.#tell({ type: 'granted', at: epochNow(), manual: this.#manual, session: lease, model, setup });
  }

  /** @param {'plan' | 'seed' | 'report'} what @param {object} [detail] @returns {Promise<any>} */
  #ask(what, detail) {
    const id = ++this.#asks;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      const error = { reason: /** @type {const} */ ('network'), detail: 'The page did not answer.' };
      setTimeout(() => this.#take({ id, error }), ASK_TIMEOUT_MS);
      this.#tell({ type: 'ask', id, what, detail });
    });
  }

  /** @param {Omit<NetworkCommand & {type: 'reply'}, 'type'>} reply */
  #take({ id, value, error }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (error) asked?.reject(new LiveError(error));
    else asked?.resolve(value);
  }

  /** @param {Said} said */
  #say(said) {
    if (this.#line.up) this.#send(said);
    else if (this.#held.length < MAX_HELD) this.#held.push(said);
  }

  /** Now or never: a late picture is worth nothing, and would make speech late. @param {ImageBitmap} bitmap */
  async #show(bitmap) {
    const free = () => this.#line.up && !this.#uplink.slow && this.#line.bufferedBytes <= PICTURE_BUFFERED_BYTES;
    if (!free()) return bitmap.close();
    const { encodePicture } = await import('./picture-encoder.js');
    const video = await encodePicture(bitmap).catch(() => null); // without OffscreenCanvas
    if (video && free()) this.#sayNow({ video }, false);
  }

  /** @param {Said} said */
  #send({ message, typed }) {
    this.#typed = typed ?? this.#typed;
    const { realtimeInput, toolResponse } = message;
    // An answer to a question that the service has forgotten would end the connection.
    const answers = toolResponse?.functionResponses;
    if (answers?.some((/** @type {{id: string}} */ { id }) => this.#lostCalls.has(id))) return;
    const asks = !realtimeInput || realtimeInput.text !== undefined;
    this.#busy ||= asks && message.clientContent?.turnComplete !== false;
    this.#line.outdate();
    this.#line.send(message, asks);
  }

  /** @param {Record<string, any>} realtimeInput @param {boolean} owes */
  #sayNow(realtimeInput, owes) {
    this.#line.send({ realtimeInput }, owes);
  }

  /** The line is up: what waited goes out, in order. @param {boolean} resumed the service knows what was before */
  #flush(resumed) {
    if (!resumed) for (const id of this.#calls) this.#lostCalls.add(id);
    for (const said of this.#held.splice(0)) this.#send(said);
    this.#uplink.open();
  }

  /** The connection is gone. What has come of its turn is played to the end, and what follows is another turn. */
  #breakOff() {
    const [turn, position] = [this.#turn, this.#position];
    const calls = [...this.#newCalls];
    for (const id of calls) this.#lostCalls.add(id);
    this.#newCalls.clear();
    this.#uplink.close(this.#activityOpen);
    this.#turnOver ||= this.#busy || position > 0;
    this.#activityOpen = this.#busy = this.#working = false;
    this.#toSpeaker(this.#decoder.flush(), epochNow(), 0);
    this.#playback?.postMessage({ type: 'finish', turn });
    this.#tell({ type: 'broken', turn, position, calls });
  }

  #watchNetwork() {
    const { slow, droppedMs } = this.#uplink;
    const { online, silent } = this.#line;
    const state = !online ? 'offline' : silent ? 'silent' : slow ? 'slow' : 'ok';
    if (state === this.#network.state && droppedMs === this.#network.droppedMs) return;
    this.#network = { state, droppedMs };
    this.#tell({ type: 'network', state, droppedMs });
  }

  /** @param {Record<string, any>} message */
  #receive(message) {
    const receivedAt = epochNow();
    const facts = readServerMessage(message);
    if (this.#turnOver && facts.some(({ type }) => OPENS_TURN.has(type))) {
      this.#turn += 1;
      this.#position = 0;
      this.#turnOver = false;
    }
    this.#tell({ type: 'message', message: withoutAudio(message), turn: this.#turn, position: this.#position });
    for (const fact of facts) {
      this.#line.heed(fact);
      this.#play(fact, receivedAt);
      this.#note(fact);
    }
  }

  /** What a break would lose. @param {import('../shared/protocol.js').ServerFact} fact */
  #note(fact) {
    // Of some models the end of a turn is not the end of their work.
    if (fact.type === 'interactionStatus') this.#working = fact.status === 'IN_PROGRESS';
    if (fact.type === 'turnComplete') this.#busy = false;
    else if (OPENS_TURN.has(fact.type)) {
      this.#busy = true;
      this.#line.outdate();
    }
    if (fact.type === 'toolCall') {
      for (const { id } of fact.calls) {
        this.#calls.add(id);
        this.#newCalls.add(id);
        this.#lostCalls.delete(id);
      }
    } else if (fact.type === 'resumption' && fact.handle) this.#newCalls.clear();
  }

  /** @param {import('../shared/protocol.js').ServerFact} fact @param {number} receivedAt */
  #play(fact, receivedAt) {
    const turn = this.#turn;
    if (fact.type === 'audio') {
      const { samples, stray } = this.#decoder.decode(fact.data, fact.mimeType);
      this.#toSpeaker(samples, receivedAt, stray);
    } else if (fact.type === 'interrupted') {
      this.#turnOver = true;
      this.#decoder.reset();
      this.#playback?.postMessage({ type: 'cut', turn, receivedAt });
    } else if (fact.type === 'generationComplete' || fact.type === 'turnComplete') {
      this.#turnOver ||= fact.type === 'turnComplete';
      this.#toSpeaker(this.#decoder.flush(), receivedAt, 0);
      this.#playback?.postMessage({ type: 'finish', turn });
    }
  }

  /** @param {Int16Array<ArrayBuffer>} samples @param {number} receivedAt @param {number} stray */
  #toSpeaker(samples, receivedAt, stray) {
    if (samples.length + stray === 0) return;
    this.#position += samples.length;
    this.#playback?.postMessage({ type: 'audio', samples, turn: this.#turn, receivedAt, stray }, [samples.buffer]);
  }

  /** The worklets' ends; again when an audio context had to be built anew. @param {{playback?: MessagePort, capture?: MessagePort}} ports */
  #join({ playback, capture }) {
    if (playback) this.#playback = playback;
    if (!capture) return;
    this.#capture = capture;
    capture.onmessage = ({ data }) => this.#uplink.push(new Uint8Array(data));
  }

  /** @param {boolean | null} active */
  #talk(active) {
    this.#chosen = true;
    clearTimeout(this.#releasing);
    const apply = () => {
      this.#talking = active;
      this.#gate();
    };
    if (active === false && this.#talking) this.#releasing = setTimeout(apply, RELEASE_MS);
    else apply();
  }

  #gate() {
    this.#uplink.mute(this.#muted || this.#talking === false);
  }

  /** Only automatic detection knows a paused stream, and only without it may we say who speaks. @param {boolean} open */
  #markActivity(open) {
    if (!this.#manual) {
      if (!open) this.#sayNow({ audioStreamEnd: true }, false);
    } else if (open !== this.#activityOpen) {
      this.#activityOpen = open;
      this.#sayNow(open ? { activityStart: {} } : { activityEnd: {} }, !open);
    }
  }

  /** @param {LiveError} error */
  #fail(error) {
    if (this.#stopped) return;
    this.#tell({ type: 'failed', error: error.toJSON() });
    this.#stop(true); // the page hears of it, and gives the session back
  }

  /** @param {boolean} leased */
  async #stop(leased) {
    if (this.#stopped) return;
    this.#stopped = true;
    clearInterval(this.#watching);
    clearTimeout(this.#releasing);
    this.#capture?.close();
    this.#playback?.close();
    await this.#line.stop(leased);
    // A second for the closing handshake, which a worker that ends at once would cut off.
    setTimeout(() => {
      this.#port.close();
      this.#onstopped();
    }, 1000);
  }

  /** @param {NetworkReport} report */
  #tell(report) {
    this.#port.postMessage(report);
  }
}

/** What belongs to the next turn once the last one is over. */
const OPENS_TURN = new Set(['audio', 'modelText', 'outputText', 'inputText', 'interimInputText', 'toolCall']);
