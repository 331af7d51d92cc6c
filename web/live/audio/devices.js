/**
 * What can be heard and spoken with, for a page that lets people choose and try. Owns: the list and the test tone.
 * Needs speaker.js for the way to a chosen device. Loaded with its first use. Leaves using them to mic.js and speaker.js.
 */
import { routeTo } from './speaker.js';

/** @typedef {{deviceId: string, label: string}} Device */
/** @typedef {{inputs: Device[], outputs: Device[], canChooseOutput: boolean}} Devices */

/** Labels are empty until the microphone has been allowed once. @returns {Promise<Devices>} */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const of = (/** @type {MediaDeviceKind} */ wanted) =>
    all.filter(({ kind }) => kind === wanted).map(({ deviceId, label }) => ({ deviceId, label }));
  const canChooseOutput = 'setSinkId' in AudioContext.prototype;
  return { inputs: of('audioinput'), outputs: canChooseOutput ? of('audiooutput') : [], canChooseOutput };
}

/**
 * Half a second of 440 Hz, fading at both ends; resolves when it is over.
 * @param {AudioContext} context that was resumed inside a click @param {string} deviceId
 */
export async function playTone(context, deviceId) {
  try {
    await routeTo(context, deviceId);
    await context.resume();
    const tone = context.createOscillator();
    const gain = context.createGain();
    const now = context.currentTime;
    gain.gain.setValueAtTime(0, now);
    for (const [level, at] of [[0.2, 0.05], [0.2, 0.45], [0, 0.5]]) gain.gain.linearRampToValueAtTime(level, now + at); // prettier-ignore
    tone.connect(gain).connect(context.destination);
    await new Promise((resolve) => {
      tone.onended = resolve;
      tone.start(now);
      tone.stop(now + 0.5);
    });
  } finally {
    await context.close();
  }
}
