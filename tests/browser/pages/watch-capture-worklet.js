/** Keeps a copy of each chunk of PCM16 that leaves the worklet, and when the block came in that completed it. */
const chunks = [];
let blockAt = 0;

const register = globalThis.registerProcessor;
globalThis.registerProcessor = (name, Processor) =>
  register(
    name,
    class extends Processor {
      process(...block) {
        blockAt = Date.now();
        return super.process(...block);
      }
    },
  );

const post = MessagePort.prototype.postMessage;
MessagePort.prototype.postMessage = function (message, ...rest) {
  if (message instanceof ArrayBuffer) chunks.push({ at: blockAt, bytes: new Uint8Array(message.slice(0)) });
  return post.call(this, message, ...rest);
};

class Watch extends AudioWorkletProcessor {
  constructor() {
    super();
    this.port.onmessage = () => post.call(this.port, chunks);
  }

  process() {
    return true;
  }
}
register('watch', Watch);
