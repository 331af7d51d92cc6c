/**
 * What goes beside the voice: pictures to the model, and a recording for the user. Owns: one camera and one recorder, each
 * loaded with its first use, as this is. Needs camera.js, recorder.js, errors.js. Leaves the conversation to live-session.js.
 */
import { LiveError, loaded } from '../shared/errors.js';

/** @typedef {import('../shared/events.js').LiveEvents} LiveEvents */
/**
 * @typedef {object} Surroundings
 * @property {<K extends 'video' | 'recording'>(type: K, detail: LiveEvents[K]) => void} emit
 * @property {(bitmap: ImageBitmap) => void} show the model a picture
 * @property {() => boolean} connected
 * @property {() => import('../audio/audio-io.js').AudioIO | undefined} audio of the conversation that is there, if any
 */

export class Media {
  #out;
  /** @type {import('./camera.js').Camera | null} */
  #camera = null;
  /** @type {import('./recorder.js').Recorder | null} */
  #recorder = null;
  #modelDelayMs = 0;
  /** Counts what began or ended a video, so that one that was loading meanwhile is not begun. */
  #asked = 0;

  /** @param {Surroundings} out */
  constructor(out) {
    this.#out = out;
  }

  get recording() {
    return this.#recorder !== null;
  }

  /**
   * Rejects with a LiveError.
   * @param {import('./video-source.js').VideoOptions} options @param {Promise<MediaStream>} asked for inside the click
   */
  async startVideo(options, asked) {
    const asking = ++this.#asked;
    const { Camera } = await loaded(import('./camera.js'));
    if (asking !== this.#asked) throw LiveError.aborted();
    this.stopVideo('stopped');
    const { show, connected, emit } = this.#out;
    const camera = new Camera(options, { show, connected, tell: (state) => emit('video', state) });
    this.#camera = camera; // at once: it may be closed while somebody is still being asked
    try {
      await camera.open(asked);
    } catch (error) {
      if (this.#camera === camera) this.#camera = null;
      throw error;
    }
    return camera.stream;
  }

  /** @param {string} reason for the event */
  stopVideo(reason) {
    this.#asked += 1;
    this.#camera?.close(reason);
    this.#camera = null;
  }

  async switchCamera() {
    await this.#camera?.switch();
  }

  async startRecording() {
    const { Recorder } = await loaded(import('./recorder.js'));
    if (this.#recorder) return;
    this.#recorder = new Recorder(() => {
      this.#tap(null);
      this.#out.emit('recording', { state: 'full' });
    });
    this.tapAudio();
    this.#out.emit('recording', { state: 'on' });
  }

  /** @returns {Promise<Blob | null>} */
  async stopRecording() {
    const recorder = this.#recorder;
    if (!recorder) return null;
    this.#tap(null);
    this.#recorder = null;
    this.#out.emit('recording', { state: 'off' });
    return recorder.stop(this.#modelDelayMs);
  }

  /** There is another audio side, which is to be recorded too. */
  tapAudio() {
    if (this.#recorder) this.#tap(this.#recorder);
  }

  /** The conversation ends, and its audio side with it; a recording goes on with the next one. */
  ended() {
    this.stopVideo('session-ended');
    this.#measure();
  }

  /** @param {import('./recorder.js').Recorder | null} recorder */
  #tap(recorder) {
    this.#measure();
    this.#out.audio()?.tap(recorder && ((voice) => recorder.port(voice)));
  }

  #measure() {
    const audio = this.#out.audio();
    if (audio) this.#modelDelayMs = audio.speaker.latencySeconds * 1000;
  }
}
