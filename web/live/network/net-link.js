/**
 * The page's end of the network side. Owns: starting the worker, and doing without where there is none.
 * Needs net-core.js only then. Leaves what is said to net-core.js and live-session.js.
 */
import { loaded } from '../shared/errors.js';
import { scriptUrl } from '../shared/scripts.js';

/** @typedef {import('./net-core.js').NetCommand} NetCommand */
/** @typedef {import('./net-core.js').NetReport} NetReport */

export class NetLink {
  #port;
  #worker;
  /** @type {(report: NetReport) => void} */
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
   * @param {import('./line.js').Connect} [connect] another client's, which a worker cannot be given
   * @returns {Promise<NetLink>}
   */
  static async open(connect) {
    try {
      if (!connect) return await startWorker();
    } catch {
      // Some webviews have no module workers: the same module then runs here.
    }
    const { NetCore } = await loaded(import('./net-core.js'));
    const { port1, port2 } = new MessageChannel();
    new NetCore(port2, undefined, connect);
    return new NetLink(port1, null);
  }

  /** @param {NetCommand} command @param {Transferable[]} [transfer] */
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

/** @returns {Promise<NetLink>} */
function startWorker() {
  return new Promise((resolve, reject) => {
    const worker = new Worker(scriptUrl('../network/net-worker.js'), { type: 'module', name: 'live-net' });
    const { port1, port2 } = new MessageChannel();
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error('the worker did not start'));
    };
    port1.onmessage = () => resolve(new NetLink(port1, worker)); // its hello
    worker.postMessage({ port: port2 }, [port2]);
  });
}
