/**
 * The page's end of the network side. Owns: starting the worker, and doing without where there is none.
 * Needs network-session.js only then. Leaves what is said to network-session.js and live-session.js.
 */
import { loaded } from '../shared/errors.js';
import { scriptUrl } from '../shared/script-urls.js';

/** @typedef {import('./network-session.js').NetworkCommand} NetworkCommand */
/** @typedef {import('./network-session.js').NetworkReport} NetworkReport */

export class NetworkClient {
  #port;
  #worker;
  /** @type {(report: NetworkReport) => void} */
  onreport = () => {};

  /**
   * @param {MessagePort} port
   * @param {Worker | null} worker null when the network side runs on this thread
   */
  constructor(port, worker) {
    this.#port = port;
    this.#worker = worker;
    port.onmessage = ({ data }) => this.onreport(data);
    if (worker) worker.onerror = ({ message }) => this.#broken(message);
  }

  get thread() {
    return this.#worker ? 'worker' : 'main';
  }

  /**
   * Resolves when the other side answers.
   * @param {import('./resilient-connection.js').Connect} [connect] another client's, which a worker cannot be given
   * @returns {Promise<NetworkClient>}
   */
  static async open(connect) {
    try {
      if (!connect) return await startWorker();
    } catch {
      // Some webviews have no module workers: the same module then runs here.
    }
    const { NetworkSession } = await loaded(import('./network-session.js'));
    const { port1, port2 } = new MessageChannel();
    new NetworkSession(port2, undefined, connect);
    return new NetworkClient(port1, null);
  }

  /** @param {NetworkCommand} command @param {Transferable[]} [transfer] */
  post(command, transfer = []) {
    this.#port.postMessage(command, transfer);
  }

  /** Ends the other side, which closes its socket first. @param {boolean} leased the page gives the session back itself */
  close(leased) {
    this.onreport = () => {};
    this.post({ type: 'stop', leased });
  }

  /** @param {string} detail */
  #broken(detail) {
    this.onreport({ type: 'failed', error: { reason: 'connection-lost', detail: `The network worker failed: ${detail}` } });
  }
}

/** @returns {Promise<NetworkClient>} */
function startWorker() {
  return new Promise((resolve, reject) => {
    const worker = new Worker(scriptUrl('../network/network-worker.js'), { type: 'module', name: 'live-net' });
    const { port1, port2 } = new MessageChannel();
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error('the worker did not start'));
    };
    port1.onmessage = () => resolve(new NetworkClient(port1, worker)); // its hello
    worker.postMessage({ port: port2 }, [port2]);
  });
}
