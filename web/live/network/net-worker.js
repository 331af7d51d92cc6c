/**
 * The network worker: a NetCore in a thread of its own. The page sends one MessagePort and talks through that.
 */
import { NetCore } from './net-core.js';

self.onmessage = ({ data }) => {
  new NetCore(data.port, () => self.close());
};
