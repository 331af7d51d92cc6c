/**
 * Loads media.js with the first video or recording. Until then it costs a session nothing.
 * Leaves the camera and the recorder to media.js.
 */
import { LiveError, lazyModule } from '../shared/errors.js';
import { openVideo } from './video-source.js';

/** @typedef {import('./media.js').Media} Media */

export class MediaLoader {
  #host;
  /** @type {Media | null} */
  media = null;

  /** @param {import('./media.js').MediaHost} host */
  constructor(host) {
    this.#host = host;
  }

  /** @returns {Promise<Media>} */
  async load() {
    const { Media } = await lazyModule(import('./media.js'));
    this.media ??= new Media(this.#host);
    return this.media;
  }

  /**
   * @param {import('./video-source.js').VideoOptions} options
   * @param {() => unknown} conversation a video that was started in one conversation does not start in another
   */
  async startVideo(options, conversation) {
    const requested = openVideo(options); // now: a browser offers a screen only inside the click
    requested.catch(() => {}); // startVideo() reports it
    const before = conversation();
    try {
      const media = await this.load();
      if (before && before !== conversation()) throw LiveError.aborted();
      return await media.startVideo(options, requested);
    } catch (cause) {
      requested.then((stream) => stream.getTracks().map((track) => track.stop())).catch(() => {});
      throw cause;
    }
  }
}
