/**
 * The network worker: a NetworkSession in a thread of its own. The page sends one MessagePort and talks through that.
 */
import { NetworkSession } from './network-session.js';

self.onmessage = ({ data }) => {
  new NetworkSession(data.port, () => self.close());
};
