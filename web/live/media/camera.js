/**
 * Shows the model a camera or a screen: one picture a second, and none while nobody could see it.
 * Loads on first use. Leaves scaling and packing to the network worker, and the preview to the page.
 */
import { LiveError } from '../shared/errors.js';
import { openVideo } from './video-source.js';

/** @typedef {import('./video-source.js').VideoOptions} VideoOptions */
/** @typedef {import('../shared/events.js').VideoState} VideoState */
/**
 * @typedef {object} CameraHost
 * @property {(bitmap: ImageBitmap) => void} sendPicture
 * @property {() => boolean} connected
 * @property {(state: VideoState) => void} report
 */

/** The service looks at no more than one picture a second. */
const INTERVAL_MS = 1000;

export class Camera {
  #host;
  /** @type {VideoOptions} */
  #options;
  /** @type {'camera' | 'screen'} */
  #source;
  /** The stream for the preview. It stays the same when the camera is switched. */
  stream = new MediaStream();
  /** @type {MediaStreamTrack | null} */
  #track = null;
  /** @type {() => Promise<ImageBitmap>} */
  #grabFrame = async () => Promise.reject(new Error('no track'));
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #reported = '';
  #closed = false;
  #onVisibilityChange = () => this.#update();

  /** @param {VideoOptions} options @param {CameraHost} host */
  constructor(options, host) {
    this.#options = options;
    this.#source = options.source ?? 'camera';
    this.#host = host;
  }

  /** Rejects with a LiveError when there is no camera or it is not allowed. @param {Promise<MediaStream>} requested */
  async open(requested) {
    try {
      this.#use(await requested);
    } catch (cause) {
      const error = videoError(cause, this.#source);
      this.#report('denied', error.detail);
      throw error;
    }
    if (this.#closed) return;
    globalThis.document?.addEventListener('visibilitychange', this.#onVisibilityChange);
    this.#update();
    void this.#run();
  }

  /** The next of several cameras, in the same stream. Releases the old one first: many phones open only one at a time. */
  async switch() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const cameras = devices.filter(({ kind }) => kind === 'videoinput');
    if (this.#source !== 'camera' || this.#closed || cameras.length < 2) return;
    const current = this.#track?.getSettings().deviceId;
    const { deviceId } = cameras[(cameras.findIndex((one) => one.deviceId === current) + 1) % cameras.length];
    this.#release();
    try {
      this.#use(await openVideo({ ...this.#options, deviceId }));
    } catch (cause) {
      this.#use(await openVideo({ ...this.#options, deviceId: current }));
      throw videoError(cause, 'camera');
    }
  }

  /** @param {string} reason for the event */
  close(reason) {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    globalThis.document?.removeEventListener('visibilitychange', this.#onVisibilityChange);
    this.#release();
    this.#report('off', reason);
  }

  /** @param {MediaStream} opened */
  #use(opened) {
    const [track] = opened.getVideoTracks();
    if (this.#closed) return track.stop();
    this.#track = track;
    this.#grabFrame = frameGrabber(track);
    this.stream.addTrack(track);
    track.onended = () => this.close('ended'); // unplugged, or the browser's own "stop sharing"
  }

  #release() {
    const track = this.#track;
    this.#track = null;
    if (!track) return;
    track.onended = null;
    track.stop();
    this.stream.removeTrack(track);
  }

  /** One picture at a time: if one takes longer than a second there are fewer pictures, not a queue. */
  async #run() {
    const began = Date.now();
    const track = this.#track;
    this.#update();
    // A camera that is starting or being switched has no picture yet.
    if (this.#reported === 'on' && track?.readyState === 'live' && !track.muted) {
      const bitmap = await this.#grabFrame().catch(() => null);
      if (bitmap && this.#reported === 'on') this.#host.sendPicture(bitmap);
      else bitmap?.close();
    }
    if (!this.#closed) this.#timer = setTimeout(() => void this.#run(), Math.max(0, began + INTERVAL_MS - Date.now()));
  }

  #update() {
    if (this.#closed) return;
    // A camera shows the person who looks at the page. A screen is shared to look at another page.
    const hidden = this.#source === 'camera' && !!globalThis.document?.hidden;
    if (hidden) this.#report('paused', 'hidden');
    else if (!this.#host.connected()) this.#report('paused', 'disconnected');
    else this.#report('on');
  }

  /** Reports a change once. @param {VideoState['state']} state @param {string} [reason] */
  #report(state, reason) {
    const reported = state === 'on' ? state : `${state} ${reason}`;
    if (reported === this.#reported) return;
    this.#reported = reported;
    this.#host.report({ state, source: this.#source, reason });
  }
}

/** @param {MediaStreamTrack} track @returns {() => Promise<ImageBitmap>} */
function frameGrabber(track) {
  const { ImageCapture, document } = /** @type {any} */ (globalThis);
  if (ImageCapture) {
    const capture = new ImageCapture(track);
    return () => capture.grabFrame();
  }
  // In other browsers only a video element turns a stream into pictures. It is not inserted into the page.
  const video = document.createElement('video');
  Object.assign(video, { muted: true, playsInline: true, srcObject: new MediaStream([track]) });
  const playing = video.play();
  return async () => {
    await playing;
    return createImageBitmap(video);
  };
}

/** @param {unknown} cause @param {'camera' | 'screen'} source */
function videoError(cause, source) {
  const name = cause instanceof Error ? cause.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') {
    const hint =
      source === 'screen' ? undefined : 'Allow it in the address bar or in the system settings, then try again.';
    return new LiveError({ reason: 'permission-denied', detail: `The ${source} is not shown to this page.`, hint });
  }
  if (name === 'TypeError') {
    return new LiveError({ reason: 'unsupported', detail: `This browser gives the page no ${source}.` });
  }
  const detail = name === 'NotFoundError' ? `No ${source} was found.` : `The ${source} could not be opened.`;
  const hint = 'Another program may be using it, or it is not connected.';
  return new LiveError({ reason: 'no-camera', detail, hint });
}
