/**
 * Shows the model a camera or a screen: one picture a second, and none that nobody would see.
 *
 * Owns: the stream, the pace, when it pauses. Needs video-source.js, errors.js. Loaded with the first use. Leaves
 * scaling, packing and the network's pace to the worker (picture-encoder.js, network-session.js), and the preview to the page.
 */
import { LiveError } from '../shared/errors.js';
import { openVideo } from './video-source.js';

/** @typedef {import('./video-source.js').VideoOptions} VideoOptions */
/** @typedef {{state: 'on' | 'paused' | 'off' | 'denied', source: 'camera' | 'screen', reason?: string}} VideoState */
/**
 * @typedef {object} Surroundings
 * @property {(bitmap: ImageBitmap) => void} show
 * @property {() => boolean} connected
 * @property {(state: VideoState) => void} tell
 */

/** The service looks at no more than one picture a second. */
const INTERVAL_MS = 1000;

export class Camera {
  #out;
  /** @type {VideoOptions} */
  #options;
  /** @type {'camera' | 'screen'} */
  #source;
  /** What the page shows; the same one over a switch of cameras. */
  stream = new MediaStream();
  /** @type {MediaStreamTrack | null} */
  #track = null;
  /** @type {() => Promise<ImageBitmap>} */
  #grab = async () => Promise.reject(new Error('no track'));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #next;
  #told = '';
  #closed = false;
  #look = () => this.#update();

  /** @param {VideoOptions} options @param {Surroundings} out */
  constructor(options, out) {
    this.#options = options;
    this.#source = options.source ?? 'camera';
    this.#out = out;
  }

  /** Rejects with a LiveError when there is none or it is not allowed. @param {Promise<MediaStream>} asked */
  async open(asked) {
    try {
      this.#take(await asked);
    } catch (cause) {
      const error = refused(cause, this.#source);
      this.#tell('denied', error.detail);
      throw error;
    }
    if (this.#closed) return;
    globalThis.document?.addEventListener('visibilitychange', this.#look);
    this.#update();
    void this.#run();
  }

  /** The next of several cameras, in the same stream. The old one goes first: many phones open one at a time only. */
  async switch() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind }) => kind === 'videoinput');
    if (this.#source !== 'camera' || this.#closed || cameras.length < 2) return;
    const current = this.#track?.getSettings().deviceId;
    const { deviceId } = cameras[(cameras.findIndex((one) => one.deviceId === current) + 1) % cameras.length];
    this.#drop();
    try {
      this.#take(await openVideo({ ...this.#options, deviceId }));
    } catch (cause) {
      this.#take(await openVideo({ ...this.#options, deviceId: current }));
      throw refused(cause, 'camera');
    }
  }

  /** @param {string} reason why, for the event */
  close(reason) {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#next);
    globalThis.document?.removeEventListener('visibilitychange', this.#look);
    this.#drop();
    this.#tell('off', reason);
  }

  /** @param {MediaStream} opened */
  #take(opened) {
    const [track] = opened.getVideoTracks();
    if (this.#closed) return track.stop();
    this.#track = track;
    this.#grab = grabber(track);
    this.stream.addTrack(track);
    track.onended = () => this.close('ended'); // unplugged, or the browser's own "stop sharing"
  }

  #drop() {
    const track = this.#track;
    this.#track = null;
    if (!track) return;
    track.onended = null;
    track.stop();
    this.stream.removeTrack(track);
  }

  /** One at a time: what takes longer than a second makes fewer pictures, not a queue. */
  async #run() {
    const began = Date.now();
    const track = this.#track;
    this.#update();
    if (this.#told === 'on' && track?.readyState === 'live' && !track.muted) {
      // A camera that is just starting or being switched has nothing to show yet.
      const bitmap = await this.#grab().catch(() => null);
      if (bitmap && this.#told === 'on') this.#out.show(bitmap);
      else bitmap?.close();
    }
    if (!this.#closed) this.#next = setTimeout(() => void this.#run(), Math.max(0, began + INTERVAL_MS - Date.now()));
  }

  #update() {
    if (this.#closed) return;
    // A camera shows whoever looks at the page; a screen is shared in order to look elsewhere.
    const hidden = this.#source === 'camera' && !!globalThis.document?.hidden;
    if (hidden) this.#tell('paused', 'hidden');
    else if (!this.#out.connected()) this.#tell('paused', 'disconnected');
    else this.#tell('on');
  }

  /** @param {VideoState['state']} state @param {string} [reason] */
  #tell(state, reason) {
    const told = state === 'on' ? state : `${state} ${reason}`;
    if (told === this.#told) return;
    this.#told = told;
    this.#out.tell({ state, source: this.#source, reason });
  }
}

/** @param {MediaStreamTrack} track @returns {() => Promise<ImageBitmap>} */
function grabber(track) {
  const { ImageCapture, document } = /** @type {any} */ (globalThis);
  if (ImageCapture) {
    const capture = new ImageCapture(track);
    return () => capture.grabFrame();
  }
  // Elsewhere only an element turns a stream into pictures; it is in no page.
  const video = document.createElement('video');
  Object.assign(video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
  const playing = video.play();
  return async () => {
    await playing;
    return createImageBitmap(video);
  };
}

/** @param {unknown} cause @param {'camera' | 'screen'} source */
function refused(cause, source) {
  const name = cause instanceof Error ? cause.name : '';
  const what = source === 'screen' ? 'screen' : 'camera';
  if (name === 'NotAllowedError' || name === 'SecurityError') {
    const hint = source === 'screen' ? undefined : 'Allow it in the address bar or in the system settings, then try again.';
    return new LiveError({ reason: 'permission-denied', detail: `The ${what} is not shown to this page.`, hint });
  }
  if (name === 'TypeError') return new LiveError({ reason: 'unsupported', detail: `This browser gives the page no ${what}.` });
  const detail = name === 'NotFoundError' ? `No ${what} was found.` : `The ${what} could not be opened.`;
  return new LiveError({ reason: 'no-camera', detail, hint: 'Another program may be using it, or it is not connected.' });
}
