/**
 * One WebSocket to the Live API, with the methods of the official JS SDK's live session that a conversation needs.
 * Leaves audio, turns and tokens to others, and the check of an app's input to raw-session.js. Runs on the main thread,
 * in a worker and in Node.
 */
import { LiveError } from '../shared/errors.js';

/**
 * @typedef {object} ConnectOptions the broker's answer to `POST /token` has the first four
 * @property {string} token
 * @property {string} url
 * @property {{in: string, name: string}} [auth]
 * @property {Record<string, any>} [setup] sent first, unchanged
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

/** Three round trips and the model's start take well under a second. A phone that changes cells needs more. */
const SETUP_TIMEOUT_MS = 10_000;

/**
 * Opens a connection. Resolves after `setupComplete`. Rejects with a LiveError when the connection closes before, or
 * when the service does not answer.
 * @template {typeof LiveSocket} T
 * @param {ConnectOptions} options
 * @param {T} Session
 * @returns {Promise<InstanceType<T>>}
 */
export function connect(options, Session) {
  const { token, url, auth = { in: 'query', name: 'access_token' }, setup = {}, callbacks = {}, signal } = options;
  return new Promise((resolve, reject) => {
    if (auth.in !== 'query') {
      throw new LiveError({ reason: 'unsupported', detail: `A browser cannot send a token in: ${auth.in}.` });
    }
    if (signal?.aborted) throw LiveError.aborted();
    // The slash is not escaped, as in the official SDKs.
    const query = `${auth.name}=${encodeURIComponent(token).replaceAll('%2F', '/')}`;
    const socket = new WebSocket(`${url}${url.includes('?') ? '&' : '?'}${query}`);
    const session = /** @type {InstanceType<T>} */ (
      new Session(socket, setup, callbacks, (error) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve(session);
      })
    );
    /** @param {LiveError} why */
    const giveUp = (why) => {
      reject(why);
      session.close();
    };
    const timer = setTimeout(() => giveUp(LiveError.network('The service did not answer.')), SETUP_TIMEOUT_MS);
    signal?.addEventListener('abort', () => giveUp(LiveError.aborted()));
  });
}

export class LiveSocket {
  #socket;
  #callbacks;
  #settle;
  #ready = false;
  /** Blobs decode asynchronously. Frames that follow a Blob wait in this chain. @type {Promise<void> | null} */
  #chain = null;

  /**
   * @param {WebSocket} socket
   * @param {Record<string, any>} setup
   * @param {LiveCallbacks} callbacks
   * @param {(error?: LiveError) => void} settle called after the setup, and after the close
   */
  constructor(socket, setup, callbacks, settle) {
    this.#socket = socket;
    this.#callbacks = callbacks;
    this.#settle = settle;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      callbacks.onopen?.();
      this.send({ setup });
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onerror = () => {
      // The event has no details. The close that follows has the code.
      callbacks.onerror?.(LiveError.network('The connection failed.'));
    };
    // After the frames that are still being decoded, so that no frame follows the close.
    socket.onclose = ({ code, reason }) =>
      this.#inOrder(() => {
        callbacks.onclose?.({ code, reason });
        settle(LiveError.closed(code, reason, this.#ready));
      });
  }

  /** Bytes that the browser has not sent yet. */
  get bufferedAmount() {
    return this.#socket.bufferedAmount;
  }

  /** @param {Record<string, any>} realtimeInput */
  sendRealtimeInput(realtimeInput) {
    this.send({ realtimeInput });
  }

  /** @param {{turns?: any, turnComplete?: boolean}} [content] */
  sendClientContent({ turns, turnComplete = true } = {}) {
    this.send({ clientContent: turns ? { turns: asContents(turns), turnComplete } : { turnComplete } });
  }

  /** @param {{functionResponses: any}} toolResponse */
  sendToolResponse(toolResponse) {
    this.send({ toolResponse });
  }

  /** Drops the message when the socket is not open. @param {Record<string, any>} message */
  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  close() {
    this.#socket.close(1000);
  }

  /** The server sends JSON in binary frames. A browser may deliver any of three types. @param {any} data */
  #receive(data) {
    if (typeof data === 'string') this.#inOrder(() => this.#deliver(data));
    else if (data instanceof Blob) this.#inOrder(async () => this.#deliver(await data.text()));
    else this.#inOrder(() => this.#deliver(new TextDecoder().decode(data)));
  }

  /** Runs at once when nothing waits, so that a usual frame needs no extra task. @param {() => any} work */
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
    const message = asObject(text);
    if (message) this.#callbacks.onmessage?.(message);
    else this.#callbacks.onerror?.(new LiveError({ reason: 'unreadable', detail: 'The service sent no JSON object.' }));
    if (message?.setupComplete && !this.#ready) {
      this.#ready = true;
      this.#settle();
    }
  }
}

/** @param {string} text @returns {Record<string, any> | null} null: it is no JSON object */
function asObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

/** @param {any} value a string, a part, parts or a content */
export function asContent(value) {
  if (Array.isArray(value?.parts)) return value;
  const parts = [value].flat().map((part) => (typeof part === 'string' ? { text: part } : part));
  return { role: 'user', parts };
}

/** @param {any} turns anything that asContent takes, or a list of contents */
function asContents(turns) {
  const isList = Array.isArray(turns) && Array.isArray(turns[0]?.parts);
  return isList ? turns : [asContent(turns)];
}
