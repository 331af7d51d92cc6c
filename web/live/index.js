/**
 * The one public door of the library. README.md shows its use.
 */
import { loaded } from './shared/errors.js';

export { LiveError } from './shared/errors.js';
export { LiveSession } from './live-session.js';
export { TokenSource } from './network/token-source.js';

/**
 * A connection without microphone, speaker and renewal, shaped as the official SDK's live session. Resolves after
 * `setupComplete`; rejects with a LiveError when it closes before or nothing comes.
 * @param {import('./network/live-socket.js').ConnectOptions} options
 */
export async function connect(options) {
  return (await loaded(import('./network/raw-session.js'))).connect(options);
}
