/**
 * A picture as the wire wants it: JPEG, 768 pixels on its longer side. Owns size and quality. Needs base64.js.
 * Loaded with the first picture; runs in the network worker, so that nothing is drawn or packed on the page's thread.
 */
import { encodeBase64 } from '../shared/base64.js';

/** Google cuts a picture into tiles of so many pixels: more would be scaled down there. */
const LONGEST_SIDE = 768;
const QUALITY = 0.7;

/** @param {{width: number, height: number}} size of the picture, at least one pixel comes out */
export function fitted({ width, height }) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** @param {ImageBitmap} bitmap closed afterwards @returns {Promise<{data: string, mimeType: string}>} */
export async function encodePicture(bitmap) {
  try {
    const { width, height } = fitted(bitmap);
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0, width, height);
    const blob = await canvas.convertToBlob({ type: 'image/jpeg', quality: QUALITY });
    return { data: encodeBase64(new Uint8Array(await blob.arrayBuffer())), mimeType: blob.type };
  } finally {
    bitmap.close();
  }
}
