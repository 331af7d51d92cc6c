/**
 * The figures of one start: how long each step took and what was lost.
 * They contain no token, no resumption handle and nothing that was said.
 */
import { CHUNK_MS, OUTPUT_RATE } from './pcm.js';

/** Of the keys that are kept. */
const MAX_KEYS = 100;

/** @typedef {'granted' | 'opened' | 'ready' | 'microphone' | 'sound'} Mark */
/**
 * Times are milliseconds; `steps` count from the click.
 * @typedef {object} Report
 * @property {'worker' | 'main' | null} network the thread that owns the socket
 * @property {Partial<Record<Mark, number>>} steps token granted, socket opened, session set up, microphone open,
 *   first sound
 * @property {{turns: number, interruptions: number, receiptToSoundMs: number | null,
 *   speechEndToSoundMs: number | null, interruptedToSilenceMs: number | null,
 *   interruptedAfterSamples: number | null}} turns the latest figure of each kind
 * @property {{underruns: number, droppedSamples: number, strayBytes: number, latencyMs: number,
 *   deviceUnderruns: number | null, sampleRate: number | null, playedSeconds: number}} playback
 * @property {{input: number, output: number, total: number}} tokens counted by the service, over all turns
 * @property {import('./token-counter.js').TokenCounts | null} usage the same in detail, and of the latest turn; null: the
 *   service has not reported any
 * @property {{droppedChunks: number, slowNetwork: boolean, starved: number, sampleRate: number | null,
 *   echoCancellation?: unknown, noiseSuppression?: unknown, autoGainControl?: unknown}} capture
 * @property {{reconnects: number, handovers: number, gapMs: number | null, lostMs: number}} line replaced
 *   after a break, replaced as planned, how long the latest of either took, speech that was never sent
 * @property {string[]} unknownKeys keys of server frames, each once
 * @property {number} unreadable parts of frames, or whole frames, that were left out because they cannot be read
 */

export class Diagnostics {
  #clickedAt;
  /** When the user was last loud, and the last such time that has its answer. */
  #loudAt = 0;
  #answeredAt = 0;
  /** The turn that played last, and how many of its samples. */
  #turn = 0;
  #played = 0;
  /** @type {import('./token-counter.js').TokenCounter | null} */
  #counter = null;
  /** @type {import('./token-counter.js').UsageMessage[]} */
  #uncounted = [];
  /** @type {Report} */
  #report = {
    network: null,
    steps: {},
    turns: {
      turns: 0,
      interruptions: 0,
      receiptToSoundMs: null,
      speechEndToSoundMs: null,
      interruptedToSilenceMs: null,
      interruptedAfterSamples: null,
    },
    playback: {
      underruns: 0,
      droppedSamples: 0,
      strayBytes: 0,
      latencyMs: 0,
      deviceUnderruns: null,
      sampleRate: null,
      playedSeconds: 0,
    },
    tokens: { input: 0, output: 0, total: 0 },
    usage: null,
    capture: { droppedChunks: 0, slowNetwork: false, starved: 0, sampleRate: null },
    line: { reconnects: 0, handovers: 0, gapMs: null, lostMs: 0 },
    unknownKeys: [],
    unreadable: 0,
  };

  /** @param {number} clickedAt epoch milliseconds */
  constructor(clickedAt = 0) {
    this.#clickedAt = clickedAt;
  }

  /** A copy that no longer changes. @returns {Report} */
  snapshot() {
    return structuredClone(this.#report);
  }

  /** Only the first call for a step counts. @param {Mark} step @param {number} at */
  mark(step, at) {
    this.#report.steps[step] ??= Math.round(at - this.#clickedAt);
  }

  /** @param {'worker' | 'main'} thread */
  onThread(thread) {
    this.#report.network = thread;
  }

  /** @param {{sampleRate: number}} settings @param {number} at */
  microphone(settings, at) {
    this.mark('microphone', at);
    Object.assign(this.#report.capture, settings);
  }

  /** @param {import('./audio-messages.js').CaptureReport} report */
  captured(report) {
    if (report.type === 'starved') this.#report.capture.starved += 1;
    else this.#loudAt = report.loudAt;
  }

  /** The next answer is to typed text, not to speech. */
  typed() {
    this.#answeredAt = this.#loudAt;
  }

  /** @param {{state: string, droppedMs: number}} report */
  sent({ state, droppedMs }) {
    this.#report.capture.slowNetwork = state === 'slow';
    this.#report.capture.droppedChunks = droppedMs / CHUNK_MS;
    this.#report.line.lostMs = droppedMs;
  }

  /** @param {{planned: boolean, gapMs: number}} report */
  reconnected({ planned, gapMs }) {
    this.#report.line[planned ? 'handovers' : 'reconnects'] += 1;
    this.#report.line.gapMs = gapMs;
  }

  /**
   * @param {import('./audio-messages.js').PlaybackReport} event
   * @param {{latencySeconds: number, deviceUnderruns: number | null, context: {sampleRate: number}}} device
   */
  played(event, { latencySeconds, deviceUnderruns, context }) {
    const { turns, playback } = this.#report;
    playback.deviceUnderruns = deviceUnderruns;
    playback.sampleRate = context.sampleRate;
    if (event.type === 'meter') {
      // `played` starts at 0 with each turn.
      const before = event.turn === this.#turn ? this.#played : 0;
      playback.playedSeconds += Math.max(0, event.played - before) / OUTPUT_RATE;
      [this.#turn, this.#played] = [event.turn, event.played];
    } else if (event.type === 'started') {
      this.mark('sound', event.at);
      turns.turns += 1;
      turns.receiptToSoundMs = Math.round(event.at - event.receivedAt);
      // One end of speech has one answer. Otherwise an answer to typed text would count from speech long ago.
      if (this.#loudAt > this.#answeredAt) turns.speechEndToSoundMs = Math.max(0, event.at - this.#loudAt);
      this.#answeredAt = this.#loudAt;
      playback.latencyMs = Math.round(latencySeconds * 1000);
    } else if (event.type === 'silent') {
      turns.interruptions += 1;
      turns.interruptedToSilenceMs = Math.max(0, Math.round(event.at - event.receivedAt));
      turns.interruptedAfterSamples = event.played;
    } else if (event.type === 'underrun') playback.underruns += 1;
    else if (event.type === 'dropped') playback.droppedSamples += event.samples;
    else if (event.type === 'stray') playback.strayBytes += 1;
  }

  /**
   * Counts a usageMetadata. The code for it loads with the first one; rejects when it cannot be loaded. Then the
   * message waits for the next call.
   * @param {import('./token-counter.js').UsageMessage} message
   */
  async used(message) {
    this.#uncounted.push(message);
    const { TokenCounter } = await import('./token-counter.js');
    this.#counter ??= new TokenCounter();
    Object.assign(this.#report, this.#counter.count(this.#uncounted.splice(0)));
  }

  /** Notes a key that this library does not know. Returns true the first time. @param {string} key */
  unknown(key) {
    const { unknownKeys } = this.#report;
    return unknownKeys.length < MAX_KEYS && !unknownKeys.includes(key) && unknownKeys.push(key) > 0;
  }

  /** A part of a frame was left out. Returns true. */
  unreadable() {
    return ++this.#report.unreadable > 0;
  }
}
