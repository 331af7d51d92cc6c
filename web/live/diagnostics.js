/**
 * The numbers of a session: how long each step took, what was lost. Owns: counters and marks of one start.
 * Needs nothing. Holds no token, no handle and nothing that was said.
 */

/** @typedef {'granted' | 'opened' | 'ready' | 'microphone' | 'sound'} Mark */
/**
 * Times are milliseconds; `steps` count from the click.
 * @typedef {object} Report
 * @property {'worker' | 'main' | null} network the thread that the socket is on
 * @property {Partial<Record<Mark, number>>} steps granted by the broker, socket opened, set up, microphone, first sound
 * @property {{turns: number, interruptions: number, receiptToSoundMs: number | null,
 *   speechEndToSoundMs: number | null, interruptedToSilenceMs: number | null,
 *   interruptedAfterSamples: number | null}} turns the last figure of each
 * @property {{underruns: number, droppedSamples: number, strayBytes: number, latencyMs: number,
 *   deviceUnderruns: number | null}} playback
 * @property {{droppedChunks: number, slowNetwork: boolean, starved: number, sampleRate: number | null,
 *   echoCancellation?: unknown, noiseSuppression?: unknown, autoGainControl?: unknown}} capture
 * @property {string[]} unknownKeys of server frames, each once
 */

export class Diagnostics {
  #clickedAt;
  #loudAt = 0;
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
    playback: { underruns: 0, droppedSamples: 0, strayBytes: 0, latencyMs: 0, deviceUnderruns: null },
    capture: { droppedChunks: 0, slowNetwork: false, starved: 0, sampleRate: null },
    unknownKeys: [],
  };

  /** @param {number} clickedAt epoch milliseconds */
  constructor(clickedAt = 0) {
    this.#clickedAt = clickedAt;
  }

  /** A copy that stays as it is. @returns {Report} */
  snapshot() {
    return structuredClone(this.#report);
  }

  /** The first time counts. @param {Mark} step @param {number} at */
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

  /** @param {import('./mic.js').CaptureReport} report */
  captured(report) {
    if (report.type === 'starved') this.#report.capture.starved += 1;
    else this.#loudAt = report.loudAt;
  }

  /** @param {{slow: boolean, dropped: number}} report */
  sent({ slow, dropped }) {
    this.#report.capture.slowNetwork = slow;
    this.#report.capture.droppedChunks += dropped;
  }

  /**
   * @param {import('./speaker.js').PlaybackReport} event
   * @param {{latencySeconds: number, deviceUnderruns: number | null}} device
   */
  played(event, { latencySeconds, deviceUnderruns }) {
    const { turns, playback } = this.#report;
    playback.deviceUnderruns = deviceUnderruns;
    if (event.type === 'started') {
      this.mark('sound', event.at);
      turns.turns += 1;
      turns.receiptToSoundMs = Math.round(event.at - event.receivedAt);
      turns.speechEndToSoundMs = this.#loudAt ? event.at - this.#loudAt : null;
      playback.latencyMs = Math.round(latencySeconds * 1000);
    } else if (event.type === 'silent') {
      turns.interruptions += 1;
      turns.interruptedToSilenceMs = Math.max(0, Math.round(event.at - event.receivedAt));
      turns.interruptedAfterSamples = event.played;
    } else if (event.type === 'underrun') playback.underruns += 1;
    else if (event.type === 'dropped') playback.droppedSamples += event.samples;
    else if (event.type === 'stray') playback.strayBytes += 1;
  }

  /** A key that this library does not know; true the first time. @param {string} key */
  unknown(key) {
    if (this.#report.unknownKeys.includes(key)) return false;
    this.#report.unknownKeys.push(key);
    return true;
  }
}
