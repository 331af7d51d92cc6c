/**
 * The page's end of the network: starts the worker, or runs the network on this thread where there is no worker.
 * Leaves the messages to network-session.js and session-run.js.
 */
import { lazyModule } from '../shared/errors.js';
import { trustedUrl } from '../shared/trusted-url.js';

/** @typedef {import('./messages.js').NetworkCommand} NetworkCommand */
/** @typedef {import('./messages.js').NetworkReport} NetworkReport */

const WORKER = new URL('./network-worker.js', import.meta.url);

export class NetworkClient {
  #port;
  #worker;
  /** @type {(report: NetworkReport) => void} */
  onreport = () => {};

  /**
   * @param {MessagePort} port
   * @param {Worker | null} worker null when the network runs on this thread
   */
  constructor(port, worker) {
    this.#port = port;
    this.#worker = worker;
    port.onmessage = ({ data }) => this.onreport(data);
    if (worker) worker.onerror = ({ message }) => this.#workerFailed(message);
  }

  get thread() {
    return this.#worker ? 'worker' : 'main';
  }

  /**
   * Resolves when the network session answers.
   * @param {import('./open-connection.js').Connect} [connect] of another client; a worker cannot receive a function
   * @returns {Promise<NetworkClient>}
   */
  static async open(connect) {
    try {
      if (!connect) return await startWorker();
    } catch {
      // Some webviews have no module workers. The same module then runs here.
    }
    const { NetworkSession } = await lazyModule(import('./network-session.js'));
    const { port1, port2 } = new MessageChannel();
    new NetworkSession(port2, undefined, connect);
    return new NetworkClient(port1, null);
  }

  /** @param {NetworkCommand} command @param {Transferable[]} [transfer] */
  post(command, transfer = []) {
    this.#port.postMessage(command, transfer);
  }

  /** Ends the network session, which closes its socket first. @param {boolean} pageEnds */
  close(pageEnds) {
    this.onreport = () => {};
    this.post({ type: 'stop', pageEnds });
  }

  /** @param {string} message */
  #workerFailed(message) {
    const detail = `The network worker failed: ${message}`;
    this.onreport({ type: 'failed', error: { reason: 'connection-lost', detail } });
  }
}

/** @returns {Promise<NetworkClient>} */
function startWorker() {
  return new Promise((resolve, reject) => {
    const worker = new Worker(trustedUrl(WORKER), { type: 'module', name: 'live-net' });
    const { port1, port2 } = new MessageChannel();
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error('no worker'));
    };
    port1.onmessage = () => resolve(new NetworkClient(port1, worker)); // its `hello`
    worker.postMessage({ port: port2 }, [port2]);
  });
}
