/**
 * Lists the audio devices and plays the test tone, for a page that lets people choose. Loads on first use.
 * Leaves the use of a device to mic.js and speaker.js.
 */
import { routeTo } from './speaker.js';

/** @typedef {{deviceId: string, label: string}} Device */
/** @typedef {{inputs: Device[], outputs: Device[], canChooseOutput: boolean}} Devices */

/** Labels are empty until the user has allowed the microphone once. @returns {Promise<Devices>} */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const ofKind = (/** @type {MediaDeviceKind} */ wanted) =>
    all.filter(({ kind }) => kind === wanted).map(({ deviceId, label }) => ({ deviceId, label }));
  const canChooseOutput = 'setSinkId' in AudioContext.prototype;
  return { inputs: ofKind('audioinput'), outputs: canChooseOutput ? ofKind('audiooutput') : [], canChooseOutput };
}

/**
 * Plays half a second of 440 Hz with a fade at both ends. Resolves at the end of the tone.
 * @param {AudioContext} context resumed inside a click @param {string} deviceId
 */
export async function playTone(context, deviceId) {
  try {
    await routeTo(context, deviceId);
    await context.resume();
    const tone = context.createOscillator();
    const volume = context.createGain();
    const now = context.currentTime;
    volume.gain.setValueAtTime(0, now);
    volume.gain.linearRampToValueAtTime(0.2, now + 0.05);
    volume.gain.linearRampToValueAtTime(0.2, now + 0.45);
    volume.gain.linearRampToValueAtTime(0, now + 0.5);
    tone.connect(volume).connect(context.destination);
    await new Promise((resolve) => {
      tone.onended = resolve;
      tone.start(now);
      tone.stop(now + 0.5);
    });
  } finally {
    await context.close();
  }
}

/** Whether a loudspeaker is still there. @param {string} deviceId */
export async function hasOutput(deviceId) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.some((device) => device.kind === 'audiooutput' && device.deviceId === deviceId);
}
