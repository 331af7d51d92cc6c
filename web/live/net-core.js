/**
 * The network side of a conversation: token, socket, audio up, audio down. Lives in a worker (net-worker.js), or on
 * the main thread where there is none; the page talks to it through one MessagePort either way.
 *
 * Owns: the token, the socket, the order of turns, heartbeats. Needs live-socket.js, token-source.js, uplink.js.
 * Leaves: captions, tools and states to the page; when to play to the playback worklet. Sound goes from here to the
 * worklet and from the capture worklet to here directly, so a busy page is not heard.
 */
import { encodeBase64 } from './base64.js';
import { BrokerSession } from './broker-session.js';
import { epochNow } from './clock.js';
import { LiveError } from './errors.js';
import { connect } from './live-socket.js';
import { CHUNK_SAMPLES } from './pcm.js';
import { audioFrame, readServerMessage, withoutAudio } from './protocol.js';
import { requestToken } from './token-source.js';
import { Uplink } from './uplink.js';
import { VoiceDecoder } from './voice-decoder.js';

/**
 * What the page asks for.
 * @typedef {{type: 'start', plan: import('./token-source.js').TokenPlan, playback: MessagePort, capture?: MessagePort,
 *     muted: boolean, active?: boolean | null}
 *   | {type: 'ports', playback?: MessagePort, capture?: MessagePort}
 *   | {type: 'send', message: Record<string, any>} | {type: 'mute', muted: boolean}
 *   | {type: 'activity', active: boolean | null} | {type: 'stop'}} NetCommand
 */
/**
 * What the page is told. `at` and `receivedAt` are epoch milliseconds.
 * @typedef {{type: 'hello'} | {type: 'granted', at: number, manual: boolean,
 *     session?: {id: string}} | {type: 'opened', at: number}
 *   | {type: 'ready', at: number} | {type: 'uplink', slow: boolean, dropped: number}
 *   | {type: 'message', message: Record<string, any>, turn: number, position: number}
 *   | {type: 'failed', error: import('./errors.js').LiveErrorFields}} NetReport
 */

/** Google drops a client that says nothing for some 150 s, muted or only listening. */
const KEEPALIVE_MS = 30_000;
/** How long after the release of push-to-talk the microphone is still heard: the last syllable is on its way. */
const RELEASE_MS = 120;
const SILENCE = audioFrame(encodeBase64(new Uint8Array(CHUNK_SAMPLES * 2)));

export class NetCore {
  #port;
  #onstopped;
  #stopping = new AbortController();
  /** @type {import('./live-socket.js').LiveSocket | null} */
  #socket = null;
  /** @type {MessagePort | null} */
  #playback = null;
  /** @type {MessagePort | null} */
  #capture = null;
  #uplink;
  #decoder = new VoiceDecoder();
  #muted = false;
  /** Push-to-talk: pressed or not; null without it. @type {boolean | null} */
  #talking = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #releasing;
  /** The setup leaves it to us to say when the user speaks. */
  #manual = false;
  #activityOpen = false;
  /** The turn that arriving audio belongs to, and how many of its samples have come. */
  #turn = 1;
  #position = 0;
  #turnOver = false;
  #sentSinceCheck = false;
  /** What was to be said before `setupComplete`, when the service may not be spoken to. @type {string[]} */
  #held = [];
  /** @type {ReturnType<typeof setInterval>[]} */
  #timers = [];

  /**
   * @param {MessagePort} port to the page
   * @param {() => void} onstopped after the socket is closed
   */
  constructor(port, onstopped = () => {}) {
    this.#port = port;
    this.#onstopped = onstopped;
    this.#uplink = new Uplink(
      (sound) => {
        if (typeof sound === 'boolean') this.#markActivity(sound);
        else this.#sendFrame(audioFrame(encodeBase64(sound)));
      },
      () => this.#socket?.bufferedAmount ?? 0,
      (report) => this.#tell({ type: 'uplink', ...report }),
    );
    port.onmessage = ({ data }) => this.#obey(data);
    this.#tell({ type: 'hello' });
  }

  /** @param {NetCommand} command */
  #obey(command) {
    if (command.type === 'start') void this.#start(command);
    else if (command.type === 'send') this.#sendFrame(JSON.stringify(command.message));
    else if (command.type === 'ports') this.#join(command);
    else if (command.type === 'mute') {
      this.#muted = command.muted;
      this.#gate();
    } else if (command.type === 'activity') this.#talk(command.active);
    else this.#stop();
  }

  /** @param {NetCommand & {type: 'start'}} command */
  async #start({ plan, muted, active = null, ...ports }) {
    this.#join(ports);
    this.#muted = muted;
    this.#talking = active;
    this.#uplink.muted = muted || active === false;
    const { signal } = this.#stopping;
    try {
      const answer = 'answer' in plan ? plan.answer : await requestToken(plan.request, signal);
      this.#manual = !!answer.setup?.realtimeInputConfig?.automaticActivityDetection?.disabled;
      this.#tell({ type: 'granted', at: epochNow(), manual: this.#manual, session: answer.session && { id: answer.session.id } });
      if ('request' in plan) this.#keepSession(plan.request, answer);
      await this.#connect(answer, signal);
    } catch (cause) {
      if (!signal.aborted) this.#fail(LiveError.from(cause, 'connection-lost'));
    }
  }

  /** @param {import('./token-source.js').TokenAnswer} answer @param {AbortSignal} signal */
  async #connect({ token, url, auth, setup }, signal) {
    let failed = /** @type {LiveError | null} */ (null);
    const socket = await connect({
      token,
      url,
      auth,
      setup,
      signal,
      callbacks: {
        onopen: () => this.#tell({ type: 'opened', at: epochNow() }),
        onmessage: (message) => this.#receive(message),
        onerror: (error) => (failed = error),
        onclose: ({ code, reason }) => {
          // Before setupComplete the rejection tells it; a later close is told here.
          if (this.#socket && !signal.aborted) this.#fail(LiveError.closed(code, reason, true));
        },
      },
    }).catch((cause) => {
      throw cause instanceof LiveError ? cause : (failed ?? cause);
    });
    this.#socket = socket;
    for (const frame of this.#held.splice(0)) this.#sendFrame(frame);
    this.#uplink.open();
    this.#timers.push(setInterval(() => this.#keepAlive(), KEEPALIVE_MS));
    this.#tell({ type: 'ready', at: epochNow() });
  }

  /**
   * @param {import('./token-source.js').TokenRequest} access
   * @param {import('./token-source.js').TokenAnswer} answer
   */
  #keepSession(access, { session }) {
    if (!session?.heartbeat_seconds) return;
    const lease = new BrokerSession(access, session.id);
    const beat = () => lease.heartbeat().catch((cause) => this.#fail(LiveError.from(cause, 'session-ended')));
    this.#timers.push(setInterval(beat, session.heartbeat_seconds * 1000));
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
    for (const fact of facts) this.#play(fact, receivedAt);
  }

  /** @param {import('./protocol.js').ServerFact} fact @param {number} receivedAt */
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
      if (!open) this.#sendFrame('{"realtimeInput":{"audioStreamEnd":true}}');
    } else if (open !== this.#activityOpen) {
      this.#activityOpen = open;
      this.#sendFrame(`{"realtimeInput":{"${open ? 'activityStart' : 'activityEnd'}":{}}}`);
    }
  }

  #keepAlive() {
    if (!this.#sentSinceCheck) this.#sendFrame(SILENCE);
    this.#sentSinceCheck = false;
  }

  /** @param {string} frame */
  #sendFrame(frame) {
    this.#sentSinceCheck = true;
    if (this.#socket) this.#socket.sendFrame(frame);
    else this.#held.push(frame);
  }

  /** @param {LiveError} error */
  #fail(error) {
    this.#tell({ type: 'failed', error: error.toJSON() });
    this.#stop();
  }

  #stop() {
    if (this.#stopping.signal.aborted) return;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#releasing);
    this.#stopping.abort();
    this.#socket?.close();
    this.#capture?.close();
    this.#playback?.close();
    // A second for the closing handshake, which a worker that ends at once would cut off.
    setTimeout(() => {
      this.#port.close();
      this.#onstopped();
    }, 1000);
  }

  /** @param {NetReport} report */
  #tell(report) {
    this.#port.postMessage(report);
  }
}

/** What belongs to the next turn once the last one is over. */
const OPENS_TURN = new Set(['audio', 'modelText', 'outputText', 'inputText', 'interimInputText', 'toolCall']);
