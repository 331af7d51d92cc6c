/**
 * The network worker: a NetworkSession in its own thread. The page sends one MessagePort and talks through it.
 */
import { NetworkSession } from './network-session.js';

self.onmessage = ({ data }) => {
  new NetworkSession(data.port, () => self.close());
};
