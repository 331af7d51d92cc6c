/**
 * The low door: one WebSocket to the Live API, shaped like the official JS SDK's live session.
 *
 * Owns: the connection's URL, the first frame, decoding in order. Needs protocol.js, errors.js.
 * Leaves audio, turns and tokens to others. Works on the main thread, in a worker and in Node.
 */
import { LiveError } from './errors.js';
import * as protocol from './protocol.js';

/**
 * @typedef {object} ConnectOptions the broker's answer to `POST /token` has the first four
 * @property {string} token
 * @property {string} url
 * @property {{in: string, name: string}} [auth]
 * @property {Record<string, any>} [setup] sent as it is, first
 * @property {LiveCallbacks} [callbacks]
 * @property {AbortSignal} [signal]
 */
/**
 * @typedef {object} LiveCallbacks
 * @property {() => void} [onopen]
 * @property {(message: Record<string, any>) => void} [onmessage]
 * @property {(error: LiveError) => void} [onerror]
 * @property {(event: {code: number, reason: string}) => void} [onclose]
 */

/**
 * Opens a connection; resolves after `setupComplete`, rejects with a LiveError when it closes before or nothing comes.
 * @param {ConnectOptions} options
 * @returns {Promise<LiveSocket>}
 */
export function connect({ token, url, auth = { in: 'query', name: 'access_token' }, setup, callbacks = {}, signal }) {
  if (auth.in !== 'query') {
    const detail = `A browser cannot send its token in: ${auth.in}.`;
    return Promise.reject(new LiveError({ reason: 'unsupported', detail }));
  }
  if (signal?.aborted) return Promise.reject(LiveError.aborted());
  return new Promise((resolve, reject) => {
    // The slash stays as it is, as the official SDKs send it.
    const query = `${auth.name}=${encodeURIComponent(token).replaceAll('%2F', '/')}`;
    const socket = new LiveSocket(new WebSocket(`${url}${url.includes('?') ? '&' : '?'}${query}`), setup, {
      ...callbacks,
      onready() {
        clearTimeout(timer);
        resolve(socket);
      },
      onend(error) {
        clearTimeout(timer);
        reject(error);
      },
    });
    /** @param {LiveError} why */
    const giveUp = (why) => {
      reject(why);
      socket.close();
    };
    const timer = setTimeout(() => giveUp(LiveError.network('The service did not answer')), SETUP_TIMEOUT_MS);
    signal?.addEventListener('abort', () => giveUp(LiveError.aborted()));
  });
}

/** Three round trips and the model's start take well under a second; a phone that changes cells, some. */
const SETUP_TIMEOUT_MS = 10_000;

export class LiveSocket {
  #socket;
  #callbacks;
  #ready = false;
  #closed = () => {};
  /** Resolves when the line is closed, whoever did it. @type {Promise<void>} */
  closed = new Promise((resolve) => (this.#closed = resolve));
  /** Blobs decode asynchronously; whatever comes behind one waits in this chain. @type {Promise<void> | null} */
  #chain = null;

  /**
   * @param {WebSocket} socket
   * @param {Record<string, any> | undefined} setup
   * @param {LiveCallbacks & {onready: () => void, onend: (error: LiveError) => void}} callbacks
   */
  constructor(socket, setup, callbacks) {
    this.#socket = socket;
    this.#callbacks = callbacks;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      callbacks.onopen?.();
      this.sendMessage(protocol.setupMessage(setup));
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onerror = () => {
      // The event says nothing; the close that follows has the code.
      callbacks.onerror?.(new LiveError({ reason: 'network', detail: 'The connection failed.' }));
    };
    socket.onclose = ({ code, reason }) => {
      this.#closed();
      // After what is still being decoded, so that no frame comes behind the close.
      this.#inOrder(() => {
        callbacks.onclose?.({ code, reason });
        callbacks.onend(LiveError.closed(code, reason, this.#ready));
      });
    };
  }

  get ready() {
    return this.#ready;
  }

  /** Bytes that the browser has not sent yet. */
  get bufferedAmount() {
    return this.#socket.bufferedAmount;
  }

  /** @param {protocol.RealtimeInput} input */
  sendRealtimeInput(input) {
    this.sendMessage(protocol.realtimeInputMessage(input));
  }

  /** @param {{turns?: any, turnComplete?: boolean}} [content] */
  sendClientContent(content) {
    this.sendMessage(protocol.clientContentMessage(content));
  }

  /** @param {{functionResponses: any}} responses */
  sendToolResponse(responses) {
    this.sendMessage(protocol.toolResponseMessage(responses));
  }

  /** @param {{systemInstruction?: any, tools?: Record<string, any>[]}} update */
  sendContextUpdate(update) {
    this.sendMessage(protocol.contextUpdateMessage(update));
  }

  /** @param {Record<string, any>} message */
  sendMessage(message) {
    this.sendFrame(JSON.stringify(message));
  }

  /** A frame that is JSON text already. Dropped when the socket is not open. @param {string} frame */
  sendFrame(frame) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  close() {
    this.#socket.close(1000);
  }

  /** The server sends binary frames of JSON text; a browser may hand over any of three types. @param {any} data */
  #receive(data) {
    if (typeof data === 'string') this.#inOrder(() => this.#deliver(data));
    else if (data instanceof Blob) this.#inOrder(async () => this.#deliver(await data.text()));
    else this.#inOrder(() => this.#deliver(new TextDecoder().decode(data)));
  }

  /** Runs at once when nothing is waiting, so that the usual frame costs no task. @param {() => any} work */
  #inOrder(work) {
    const pending = this.#chain ? this.#chain.then(work) : work();
    if (!(pending instanceof Promise)) return;
    const link = pending.finally(() => {
      if (this.#chain === link) this.#chain = null;
    });
    this.#chain = link;
  }

  /** @param {string} text */
  #deliver(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      const detail = 'The service sent a frame that is not JSON.';
      this.#callbacks.onerror?.(new LiveError({ reason: 'network', detail }));
      return;
    }
    this.#callbacks.onmessage?.(message);
    if (message.setupComplete && !this.#ready) {
      this.#ready = true;
      this.#callbacks.onready();
    }
  }
}
