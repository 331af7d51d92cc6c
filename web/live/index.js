/**
 * The one public door of the library. README.md shows its use.
 */
export { LiveError } from './errors.js';
export { LiveSession } from './live-session.js';
export { connect } from './live-socket.js';
export { TokenSource } from './token-source.js';
