/**
 * Asks for a camera or a screen. Owns: the constraints. Needs nothing, and is small, because a browser shows a
 * screen to a page only inside the click, with no time to load anything first. Leaves the rest to camera.js.
 */

/**
 * @typedef {object} VideoOptions
 * @property {'camera' | 'screen'} [source]
 * @property {string} [deviceId] of the camera
 * @property {'user' | 'environment'} [facingMode] which of a phone's cameras
 */

/** More than the service looks at would only cost the battery. */
const SIZE = { width: { ideal: 1280 }, height: { ideal: 720 } };

/** Rejects with what the browser throws. @param {VideoOptions} options @returns {Promise<MediaStream>} */
export async function openVideo({ source = 'camera', deviceId, facingMode }) {
  if (source === 'screen') return navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 5 } }, audio: false });
  const chosen = deviceId ? { deviceId: { exact: deviceId } } : facingMode && { facingMode };
  return navigator.mediaDevices.getUserMedia({ video: { ...SIZE, frameRate: { ideal: 10 }, ...chosen } });
}
