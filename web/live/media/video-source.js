/**
 * Asks for a camera or a screen. A small module of its own, because a browser offers a screen only inside the click,
 * when there is no time to load anything. Leaves the rest to camera.js.
 */

/**
 * @typedef {object} VideoOptions
 * @property {'camera' | 'screen'} [source]
 * @property {string} [deviceId] of the camera
 * @property {'user' | 'environment'} [facingMode] which camera of a phone
 */

/** The service looks at no larger pictures, so more would only drain the battery. */
const SIZE = { width: { ideal: 1280 }, height: { ideal: 720 } };

/** Rejects with the browser's exception. @param {VideoOptions} options @returns {Promise<MediaStream>} */
export async function openVideo({ source = 'camera', deviceId, facingMode }) {
  if (source === 'screen') {
    return navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 5 } }, audio: false });
  }
  const device = deviceId ? { deviceId: { exact: deviceId } } : facingMode && { facingMode };
  return navigator.mediaDevices.getUserMedia({ video: { ...SIZE, frameRate: { ideal: 10 }, ...device } });
}
