/**
 * The low door: a connection to the Live API with everything that the official JS SDK's live session takes.
 *
 * Owns: what an app may hand over, checked and in the wire's form. What goes out equals what the official SDKs send
 * (tests/js/protocol.test.js compares with their captures), but for `media`, which they still send as `mediaChunks` and
 * current models close the connection for. Needs live-socket.js. Loaded with its first use.
 */
import { asContent, connect as open, LiveSocket } from './live-socket.js';

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

export class Session extends LiveSocket {
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
    requireMime(out.audio, 'audio/');
    requireMime(out.video, 'image/');
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
 * Opens a connection; resolves after `setupComplete`, rejects with a LiveError when it closes before or nothing comes.
 * @param {import('./live-socket.js').ConnectOptions} options
 */
export const connect = (options) => open(options, Session);

/** @param {Blob64 | undefined} blob @param {string} prefix */
function requireMime(blob, prefix) {
  if (blob && !blob.mimeType?.startsWith(prefix)) throw new TypeError(`not ${prefix}*: ${blob.mimeType}`);
}
