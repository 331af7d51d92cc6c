/**
 * Camera and screen: what the model is shown, and the preview of it.
 * Owns: #preview and the looks of the two buttons. Needs: the library's session. Loaded with the first use.
 */
import { byId } from '../common/dom.js';

/** @typedef {'camera' | 'screen'} Source */

export class Seeing {
  #session;
  #room;
  #failed;
  #preview = byId('preview', HTMLVideoElement);
  /** @type {Source | null} */
  #source = null;

  /**
   * @param {import('../live/index.js').LiveSession} session
   * @param {import('./room.js').Room} room
   * @param {(error: unknown) => void} failed
   */
  constructor(session, room, failed) {
    this.#session = session;
    this.#room = room;
    this.#failed = failed;
    session.addEventListener('video', ({ detail: { state, source } }) => {
      if (state === 'off' || state === 'denied') this.#show(null, null);
      else this.#preview.toggleAttribute('data-paused', state === 'paused' && source === this.#source);
    });
  }

  /** On, off, or over from the other one. @param {Source} source */
  async toggle(source) {
    if (source === this.#source) {
      this.#session.stopVideo();
      return;
    }
    try {
      this.#show(source, await this.#session.startVideo({ source }));
    } catch (error) {
      // Whoever closes the browser's own question has changed their mind.
      if (source === 'camera') this.#failed(error);
    }
  }

  /** @param {Source | null} source @param {MediaStream | null} stream */
  #show(source, stream) {
    this.#source = source;
    this.#preview.srcObject = stream;
    this.#preview.hidden = stream === null;
    if (stream) void this.#preview.play().catch(() => {});
    for (const name of /** @type {Source[]} */ (['camera', 'screen'])) {
      this.#room[name].setAttribute('aria-pressed', String(name === source));
    }
  }
}
