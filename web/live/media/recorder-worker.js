/**
 * The recorder's worker. Both voices arrive directly from the worklets and never pass the page's thread.
 * The page sends a port for each voice and stops the recording once.
 */
import { WavRecording } from './wav-recording.js';

/** Chunks may still be on their way from the worklets. */
const LAST_CHUNKS_MS = 100;

const recording = new WavRecording(Date.now());
let full = false;

self.onmessage = ({ data: { voice, port, modelDelayMs } }) => {
  if (voice) {
    const add = recording.stream(voice);
    port.onmessage = (/** @type {MessageEvent} */ { data }) => {
      if (full || add(data)) return;
      full = true;
      self.postMessage({ type: 'full' });
    };
  } else setTimeout(() => self.postMessage({ type: 'done', wav: recording.toWav(modelDelayMs) }), LAST_CHUNKS_MS);
};
