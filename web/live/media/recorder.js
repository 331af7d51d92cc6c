/**
 * Records both voices on this device, when somebody asks for it. Owns: the recorder's worker. Needs script-urls.js,
 * errors.js. Loaded with the first recording. Leaves the time line and the file to wav-recording.js, in the worker.
 */
import { LiveError } from '../shared/errors.js';
import { scriptUrl } from '../shared/script-urls.js';

export class Recorder {
  #worker;
  /** @type {(wav: Blob) => void} */
  #done = () => {};
  /** @type {(error: LiveError) => void} */
  #failed = () => {};
  /** @type {LiveError | null} */
  #fault = null;

  /** @param {() => void} full there is no more room; what was recorded is kept */
  constructor(full) {
    this.#worker = new Worker(scriptUrl('../media/recorder-worker.js'), { type: 'module', name: 'live-recorder' });
    this.#worker.onmessage = ({ data }) => (data.type === 'full' ? full() : this.#done(data.wav));
    this.#worker.onerror = ({ message }) => {
      this.#fault = new LiveError({ reason: 'unsupported', detail: `The recorder failed: ${message ?? 'it could not be loaded'}` });
      this.#failed(this.#fault);
    };
  }

  /** Where a worklet sends a voice. @param {'user' | 'model'} voice */
  port(voice) {
    const { port1, port2 } = new MessageChannel();
    this.#worker.postMessage({ voice, port: port1 }, [port1]);
    return port2;
  }

  /** Once, after the worklets were told to stop. @param {number} modelDelayMs @returns {Promise<Blob>} */
  async stop(modelDelayMs) {
    try {
      return await new Promise((resolve, reject) => {
        [this.#done, this.#failed] = [resolve, reject];
        if (this.#fault) reject(this.#fault);
        this.#worker.postMessage({ modelDelayMs });
      });
    } finally {
      this.#worker.terminate();
    }
  }
}
