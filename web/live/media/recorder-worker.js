/**
 * The recorder's worker: both voices come here straight from the worklets, past the page's thread.
 * Owns: one WavRecording. The page sends a port for each voice, and stops it once.
 */
import { WavRecording } from './wav-recording.js';

/** Pieces on their way from the worklets. */
const LAST_PIECES_MS = 100;

const tape = new WavRecording(Date.now());
let full = false;

self.onmessage = ({ data: { voice, port, modelDelayMs } }) => {
  if (voice) {
    const take = tape.stream(voice);
    port.onmessage = (/** @type {MessageEvent} */ { data }) => {
      if (full || take(data)) return;
      full = true;
      self.postMessage({ type: 'full' });
    };
  } else setTimeout(() => self.postMessage({ type: 'done', wav: tape.toWav(modelDelayMs) }), LAST_PIECES_MS);
};
