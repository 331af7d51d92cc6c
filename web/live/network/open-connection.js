/**
 * Opens one connection: setup, then the text of an earlier conversation. Reports how it closes.
 * Leaves it to resilient-connection.js what follows a failure.
 */
import { LiveError } from '../shared/errors.js';
import { historyMessage } from '../shared/model-rules.js';

/**
 * The part of the official SDK's live session that a conversation needs.
 * @typedef {Pick<import('./live-socket.js').LiveSocket, 'sendRealtimeInput' | 'sendClientContent' | 'sendToolResponse'
 *   | 'close'> & {bufferedAmount?: number}} Connection
 */
/**
 * Opens a connection. Resolves after `setupComplete`.
 * @typedef {(options: import('./live-socket.js').ConnectOptions) => Promise<Connection>} Connect
 */
/**
 * `closed` gets null for a connection that closed before its setup.
 * @typedef {object} ConnectionEvents
 * @property {() => void} opened
 * @property {(message: Record<string, any> | null) => void} received null: it is no JSON object
 * @property {(error: LiveError, connection: Connection | null) => void} closed
 */

/** The method for each kind of message. */
const METHODS = /** @type {const} */ ({
  realtimeInput: 'sendRealtimeInput',
  clientContent: 'sendClientContent',
  toolResponse: 'sendToolResponse',
});

/** @param {Connection} connection @param {Record<string, any>} message with one of the keys above */
export function sendOn(connection, message) {
  const [[key, content]] = /** @type {[keyof typeof METHODS, any][]} */ (Object.entries(message));
  connection[METHODS[key]](content);
}

/**
 * Rejects with a LiveError.
 * @param {Connect} connect
 * @param {import('./token-source.js').TokenAnswer} answer with the setup to send
 * @param {Promise<Record<string, any>[]> | null} history turns of an earlier conversation
 * @param {AbortSignal} signal
 * @param {ConnectionEvents} events
 */
export async function openConnection(connect, { token, url, auth, setup }, history, signal, events) {
  let failure = /** @type {LiveError | null} */ (null);
  let connection = /** @type {Connection | null} */ (null);
  /** @type {import('./live-socket.js').LiveCallbacks} */
  const callbacks = {
    onopen: events.opened,
    onmessage: (message) => {
      if (!signal.aborted) events.received(message);
    },
    onerror: ({ reason }) => {
      if (reason === 'unreadable' && !signal.aborted) events.received(null);
    },
    onclose: ({ code, reason }) => {
      failure = LiveError.closed(code, reason, connection !== null);
      events.closed(failure, connection);
    },
  };
  try {
    connection = await connect({ token, url, auth, setup, signal, callbacks });
  } catch (cause) {
    throw failure ?? cause; // another client may not report how the connection closed
  }
  const turns = historyMessage((await history) ?? [], setup);
  if (failure || signal.aborted) throw failure ?? LiveError.aborted(); // while the page collected the history
  if (turns) connection.sendClientContent(turns);
  return connection;
}
