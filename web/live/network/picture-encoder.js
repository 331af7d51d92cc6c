/**
 * Encodes a picture for the wire: JPEG, 768 pixels on its longer side.
 * Loads with the first picture, in the network worker, so that the page's thread neither draws nor packs.
 */
import { encodeBase64 } from '../shared/base64.js';

/** Google cuts a picture into tiles of this size. It would scale a larger picture down. */
const LONGEST_SIDE = 768;
const QUALITY = 0.7;

/** The size to send, at least one pixel. @param {{width: number, height: number}} size */
export function fittedSize({ width, height }) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** @param {ImageBitmap} bitmap closed afterwards @returns {Promise<{data: string, mimeType: string}>} */
export async function encodePicture(bitmap) {
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
