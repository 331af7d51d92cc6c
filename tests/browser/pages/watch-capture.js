/**
 * Runs before the page's own scripts: `captured.take()` tells every chunk that the capture worklet gave away.
 * The library knows nothing of it: a module of ours comes before its own into the worklet.
 */
globalThis.captured = { node: null };
{
  const addModule = AudioWorklet.prototype.addModule;
  AudioWorklet.prototype.addModule = async function (url, ...rest) {
    if (String(url).endsWith('/capture-processor.js')) await addModule.call(this, '/bench/watch-capture-worklet.js');
    return addModule.call(this, url, ...rest);
  };

  globalThis.AudioWorkletNode = class extends AudioWorkletNode {
    constructor(context, name, options) {
      super(context, name, options);
      if (name === 'live-capture') captured.node = new AudioWorkletNode(context, 'watch', { numberOfOutputs: 0 });
    }
  };
}

/** Per chunk the epoch milliseconds at which its last sample came into the worklet; and all samples, as base64. */
captured.take = async () => {
  const { port } = captured.node;
  const taken = new Promise((resolve) => (port.onmessage = ({ data }) => resolve(data)));
  port.postMessage('take');
  const chunks = await taken;
  let binary = '';
  for (const { bytes } of chunks) for (const byte of bytes) binary += String.fromCharCode(byte);
  return { times: chunks.map(({ at }) => at), samples: btoa(binary) };
};
