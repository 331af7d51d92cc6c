/**
 * Records both voices on this device: starts and stops the recorder's worker. Loads with the first recording.
 * Leaves the time line and the file to wav-recording.js, in the worker.
 */
import { LiveError } from '../shared/errors.js';
import { trustedUrl } from '../shared/trusted-url.js';

const WORKER = new URL('./recorder-worker.js', import.meta.url);

export class Recorder {
  #worker;
  /** @type {(wav: Blob) => void} */
  #resolve = () => {};
  /** @type {(error: LiveError) => void} */
  #reject = () => {};
  /** @type {LiveError | null} */
  #error = null;

  /** @param {() => void} onfull the memory limit is reached; the recording so far is kept */
  constructor(onfull) {
    this.#worker = new Worker(trustedUrl(WORKER), { type: 'module', name: 'live-recorder' });
    this.#worker.onmessage = ({ data }) => (data.type === 'full' ? onfull() : this.#resolve(data.wav));
    this.#worker.onerror = ({ message }) => {
      const detail = `The recorder failed: ${message ?? 'it could not be loaded'}`;
      this.#error = new LiveError({ reason: 'unsupported', detail });
      this.#reject(this.#error);
    };
  }

  /** A port through which a worklet sends a voice. @param {import('../shared/audio-messages.js').Voice} voice */
  port(voice) {
    const { port1, port2 } = new MessageChannel();
    this.#worker.postMessage({ voice, port: port1 }, [port1]);
    return port2;
  }

  /** Call it once, after the worklets have the order to stop. @param {number} modelDelayMs @returns {Promise<Blob>} */
  async stop(modelDelayMs) {
    try {
      return await new Promise((resolve, reject) => {
        [this.#resolve, this.#reject] = [resolve, reject];
        if (this.#error) reject(this.#error);
        this.#worker.postMessage({ modelDelayMs });
      });
    } finally {
      this.#worker.terminate();
    }
  }
}
