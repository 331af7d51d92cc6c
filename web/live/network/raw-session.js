/**
 * The low-level API: a connection to the Live API with every method of the official JS SDK's live session.
 * Checks the app's input and brings it into the wire's form. Loads on first use.
 *
 * It sends the same messages as the official SDKs (tests/js/shared/protocol.test.js compares them), except for `media`:
 * the SDKs still send it as `mediaChunks`, for which current models close the connection.
 */
import { asContent, LiveSocket, connect as openSocket } from './live-socket.js';

/** @typedef {Record<string, any>} Json */
/** @typedef {{data: string, mimeType: string}} Blob64 base64 and its MIME type */
/**
 * @typedef {object} RealtimeInput any of these, together or alone
 * @property {Blob64} [audio]
 * @property {Blob64} [video]
 * @property {string} [text]
 * @property {Blob64 | Blob64[]} [media]
 * @property {Json} [activityStart]
 * @property {Json} [activityEnd]
 * @property {boolean} [audioStreamEnd]
 */

export class RawSession extends LiveSocket {
  /** @param {RealtimeInput} input */
  sendRealtimeInput({ media, audio, audioStreamEnd, video, text, activityStart, activityEnd }) {
    /** @type {Json} */
    const out = {};
    for (const blob of [media ?? []].flat()) out[blob.mimeType?.startsWith('image/') ? 'video' : 'audio'] = blob;
    if (audio) out.audio = audio;
    if (audioStreamEnd !== undefined) out.audioStreamEnd = audioStreamEnd;
    if (video) out.video = video;
    if (text !== undefined) out.text = text;
    if (activityStart) out.activityStart = activityStart;
    if (activityEnd) out.activityEnd = activityEnd;
    requireMimeType(out.audio, 'audio/');
    requireMimeType(out.video, 'image/');
    super.sendRealtimeInput(out);
  }

  /** @param {{functionResponses: any}} responses one or several */
  sendToolResponse({ functionResponses }) {
    const list = [functionResponses ?? []].flat();
    if (list.length === 0) throw new TypeError('functionResponses is required');
    for (const item of list) {
      for (const key of ['id', 'name', 'response']) {
        if (!(key in item)) throw new TypeError(`a function response needs "${key}"`);
      }
    }
    super.sendToolResponse({ functionResponses: list });
  }

  /** @param {{systemInstruction?: any, tools?: Json[]}} update */
  sendContextUpdate({ systemInstruction, tools }) {
    /** @type {Json} */
    const out = {};
    if (systemInstruction !== undefined) out.systemInstruction = asContent(systemInstruction);
    if (tools) out.tools = tools.length === 0 ? {} : { tools };
    this.send({ contextUpdate: out });
  }
}

/**
 * Opens a connection. Resolves after `setupComplete`. Rejects with a LiveError when the connection closes before, or
 * when the service does not answer.
 * @param {import('./live-socket.js').ConnectOptions} options
 */
export const connect = (options) => openSocket(options, RawSession);

/** @param {Blob64 | undefined} blob @param {string} prefix */
function requireMimeType(blob, prefix) {
  if (blob && !blob.mimeType?.startsWith(prefix)) throw new TypeError(`not ${prefix}*: ${blob.mimeType}`);
}
