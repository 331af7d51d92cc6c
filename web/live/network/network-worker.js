/**
 * The network worker: a NetworkSession in its own thread. The page sends one MessagePort and talks through it.
 */
import { NetworkSession } from './network-session.js';

self.onmessage = ({ data }) => {
  const session = new NetworkSession(data.port, () => self.close());
  // A fault of the code here costs a connection, not the conversation.
  self.onerror = (message) => {
    session.fault(`The network worker failed: ${message}`);
    return true;
  };
};
