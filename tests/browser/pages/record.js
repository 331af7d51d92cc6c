/**
 * Runs before the page's scripts: whatever is connected to a context's destination also goes into a recorder.
 * The library knows nothing of it. `recording.parts` holds every block with the time at which it was rendered.
 * A sound that begins before `recording.starts` are resolved lacks its beginning.
 */
globalThis.recording = { parts: [], contexts: 0, starts: [] };
{
  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target instanceof AudioDestinationNode) recording.starts.push(record(this));
    return connect.call(this, target, ...rest);
  };

  async function record(source) {
    const context = source.context;
    recording.contexts += 1;
    try {
      await context.audioWorklet.addModule('/bench/recorder-worklet.js');
    } catch (fault) {
      if (context.state === 'closed') return; // ended meanwhile: there is nothing to record
      throw fault;
    }
    const node = new AudioWorkletNode(context, 'recorder', {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    node.port.onmessage = ({ data }) => recording.parts.push(data);
    connect.call(source, node);
  }
}

/** Float32 samples and, per block of 128, the epoch milliseconds, each as base64. */
recording.take = () => {
  const samples = recording.parts.flatMap((part) => [...part.samples]);
  const times = recording.parts.flatMap((part) => part.times);
  const text = (array) => {
    let binary = '';
    for (const byte of new Uint8Array(array.buffer)) binary += String.fromCharCode(byte);
    return btoa(binary);
  };
  return { samples: text(new Float32Array(samples)), times: text(new Float64Array(times)) };
};
