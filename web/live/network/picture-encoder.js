/**
 * Encodes a picture for the wire: JPEG, 768 pixels on its longer side.
 * Loads with the first picture, in the network worker, so that the page's thread neither draws nor packs.
 */
import { encodeBase64 } from '../shared/base64.js';

/** Google cuts a picture into tiles of this size. It would scale a larger picture down. */
const LONGEST_SIDE = 768;
const QUALITY = 0.7;
/**
 * The socket may buffer this much when a picture comes. A picture is larger than a second of speech, and speech must not
 * wait for it.
 */
const MAX_BUFFERED_BYTES = 16 * 1024;

/** The size to send, at least one pixel. @param {{width: number, height: number}} size */
export function fittedSize({ width, height }) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * Sends a picture now or never.
 * @param {ImageBitmap} bitmap closed afterwards
 * @param {() => number} buffered bytes in the socket; Infinity: nothing can be sent now
 * @param {(video: {data: string, mimeType: string}) => void} send
 */
export async function sendPicture(bitmap, buffered, send) {
  if (buffered() > MAX_BUFFERED_BYTES) return bitmap.close();
  const video = await encodePicture(bitmap).catch(() => null); // without OffscreenCanvas
  if (video && buffered() <= MAX_BUFFERED_BYTES) send(video);
}

/** @param {ImageBitmap} bitmap closed afterwards @returns {Promise<{data: string, mimeType: string}>} */
async function encodePicture(bitmap) {
  try {
    const { width, height } = fittedSize(bitmap);
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0, width, height);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITY });
    return { data: encodeBase64(new Uint8Array(await blob.arrayBuffer())), mimeType: blob.type };
  } finally {
    bitmap.close();
  }
}
