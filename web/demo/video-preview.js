/**
 * Starts and stops the camera or the shared screen, and shows a preview of what the model sees.
 * Loaded on first use.
 */

import { byId } from '../common/dom.js';
import { LiveError } from '../live/index.js';

/** @typedef {'camera' | 'screen'} Source */

/** @type {Record<Source, string>} */
const SEEN = { camera: 'The assistant sees your camera.', screen: 'The assistant sees your screen.' };

export class VideoPreview {
  #session;
  #view;
  #failed;
  #tile = byId('video-tile', HTMLElement);
  #name = byId('video-name', HTMLSpanElement);
  #preview = byId('preview', HTMLVideoElement);
  /** @type {Source | null} */
  #source = null;
  /** The source that is starting. A second click cancels it. @type {Source | null} */
  #requested = null;

  /**
   * @param {import('../live/index.js').LiveSession} session
   * @param {import('./talk-view.js').TalkView} view
   * @param {(error: unknown) => void} failed
   */
  constructor(session, view, failed) {
    this.#session = session;
    this.#view = view;
    this.#failed = failed;
    session.addEventListener('video', ({ detail: { state, source } }) => {
      if (state === 'off' || state === 'denied') this.#show(null, null);
      else if (source === this.#source) this.#name.textContent = state === 'paused' ? 'Paused' : SEEN[source];
    });
  }

  /** Starts this source, stops it, or switches to it from the other one. @param {Source} source */
  async toggle(source) {
    const off = source === this.#source || source === this.#requested;
    this.#requested = off ? null : source;
    if (off) {
      this.#session.stopVideo();
      return;
    }
    try {
      const stream = await this.#session.startVideo({ source });
      if (this.#requested === source) this.#show(source, stream);
      else if (!this.#requested) this.#session.stopVideo();
    } catch (error) {
      // Closing the browser's screen dialog or cancelling is not an error.
      const calledOff = error instanceof LiveError && error.reason === 'aborted';
      if (source === 'camera' && !calledOff) this.#failed(error);
    } finally {
      if (this.#requested === source) this.#requested = null;
      this.#showTile();
    }
  }

  /** While one source replaces the other the tile stays, so the transcript beside it keeps its size and place. */
  #showTile() {
    this.#tile.hidden = !this.#source && !this.#requested;
  }

  /** @param {Source | null} source @param {MediaStream | null} stream */
  #show(source, stream) {
    this.#source = source;
    this.#preview.srcObject = stream;
    this.#showTile();
    this.#name.textContent = source ? SEEN[source] : '';
    if (stream) void this.#preview.play().catch(() => {});
    for (const name of /** @type {Source[]} */ (['camera', 'screen'])) {
      this.#view[name].setAttribute('aria-pressed', String(name === source));
    }
  }
}
