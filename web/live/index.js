/**
 * The public entry of the library. README.md shows its use.
 */
import { lazyModule } from './shared/errors.js';

/** @typedef {import('./shared/events.js').LiveEvents} LiveEvents */

export { LiveSession } from './live-session.js';
export { TokenSource } from './network/token-source.js';
export { LiveError } from './shared/errors.js';

/**
 * The low-level API: a connection without microphone, loudspeaker and renewal, with the methods of the official SDK's
 * live session. Resolves after `setupComplete`. Rejects with a LiveError when the connection closes before, or when the
 * service does not answer.
 * @param {import('./network/live-socket.js').ConnectOptions} options
 */
export async function connect(options) {
  return (await lazyModule(import('./network/raw-session.js'))).connect(options);
}
