/**
 * Pictures for the model and a recording for the user: one camera and one recorder, each loaded on first use.
 * Loads on first use itself. Leaves the conversation to live-session.js.
 */
import { LiveError, lazyModule } from '../shared/errors.js';

/** @typedef {import('../shared/events.js').LiveEvents} LiveEvents */
/** @typedef {import('../shared/audio-messages.js').Voice} Voice */
/**
 * The part of the session's audio that a recording needs.
 * @typedef {object} RecordableAudio
 * @property {(recordTo: ((voice: Voice) => MessagePort) | null) => void} record
 * @property {{latencySeconds: number}} speaker
 */
/**
 * @typedef {object} MediaHost
 * @property {<K extends 'video' | 'recording'>(type: K, detail: LiveEvents[K]) => void} emit
 * @property {(bitmap: ImageBitmap) => void} sendPicture
 * @property {() => boolean} connected
 * @property {() => RecordableAudio | undefined} audio of the current conversation, if there is one
 */

export class Media {
  #host;
  /** @type {import('./camera.js').Camera | null} */
  #camera = null;
  /** @type {import('./recorder.js').Recorder | null} */
  #recorder = null;
  #modelDelayMs = 0;
  /** Counts starts and stops of the video. A video that was still loading then does not start. */
  #videoRequests = 0;

  /** @param {MediaHost} host */
  constructor(host) {
    this.#host = host;
  }

  get recording() {
    return this.#recorder !== null;
  }

  /**
   * Rejects with a LiveError.
   * @param {import('./video-source.js').VideoOptions} options
   * @param {Promise<MediaStream>} requested inside the click
   */
  async startVideo(options, requested) {
    const request = ++this.#videoRequests;
    const { Camera } = await lazyModule(import('./camera.js'));
    if (request !== this.#videoRequests) throw LiveError.aborted();
    this.stopVideo('stopped');
    const { sendPicture, connected, emit } = this.#host;
    const camera = new Camera(options, { sendPicture, connected, report: (state) => emit('video', state) });
    this.#camera = camera; // now, because it may be closed while the browser still asks for permission
    try {
      await camera.open(requested);
    } catch (error) {
      if (this.#camera === camera) this.#camera = null;
      throw error;
    }
    return camera.stream;
  }

  /** @param {string} reason for the event */
  stopVideo(reason) {
    this.#videoRequests += 1;
    this.#camera?.close(reason);
    this.#camera = null;
  }

  async switchCamera() {
    await this.#camera?.switch();
  }

  async startRecording() {
    const { Recorder } = await lazyModule(import('./recorder.js'));
    if (this.#recorder) return;
    this.#recorder = new Recorder(() => {
      this.#record(null);
      this.#host.emit('recording', { state: 'full' });
    });
    this.recordAudio();
    this.#host.emit('recording', { state: 'on' });
  }

  /** @returns {Promise<Blob | null>} null: nothing was recorded */
  async stopRecording() {
    const recorder = this.#recorder;
    if (!recorder) return null;
    this.#record(null);
    this.#recorder = null;
    this.#host.emit('recording', { state: 'off' });
    return recorder.stop(this.#modelDelayMs);
  }

  /** The session has new audio. A recording continues with it. */
  recordAudio() {
    if (this.#recorder) this.#record(this.#recorder);
  }

  /** The conversation ends, and its audio with it. A recording continues with the next conversation. */
  conversationEnded() {
    this.stopVideo('session-ended');
    this.#measureDelay();
  }

  /** @param {import('./recorder.js').Recorder | null} recorder */
  #record(recorder) {
    this.#measureDelay();
    this.#host.audio()?.record(recorder && ((voice) => recorder.port(voice)));
  }

  #measureDelay() {
    const audio = this.#host.audio();
    if (audio) this.#modelDelayMs = audio.speaker.latencySeconds * 1000;
  }
}
