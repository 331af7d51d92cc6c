/**
 * The wire's messages, in and out, as pure functions: objects to send, frames taken apart.
 *
 * Owns: every field name of the Live API that this library uses. Needs nothing. Leaves the socket to live-socket.js.
 * What goes out equals what the official SDKs send (tests/js/protocol.test.js compares with their captures), but for
 * `media`, which they still send as `mediaChunks` and current models close the connection for.
 */

/** @typedef {{data: string, mimeType: string}} Blob64 base64 and its MIME type */
/** @typedef {Record<string, any>} Json */
/** @typedef {{title: string, url: string}} Link plain text, and an https address */
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

/** The MIME type of what the microphone gives, to the letter. */
export const INPUT_MIME = 'audio/pcm;rate=16000';

/** @param {Json | undefined} setup */
export function setupMessage(setup) {
  return { setup: setup ?? {} };
}

/** @param {RealtimeInput} input @returns {Json} */
export function realtimeInputMessage(input) {
  const { media, audio, audioStreamEnd, video, text, activityStart, activityEnd } = input;
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
  return { realtimeInput: out };
}

/**
 * A chunk of microphone as the text of its frame. Base64 needs no escaping, and `JSON.stringify` would read
 * all of it to find that out, fifty times a second.
 * @param {string} base64
 */
export function audioFrame(base64) {
  return `{"realtimeInput":{"audio":{"data":"${base64}","mimeType":"${INPUT_MIME}"}}}`;
}

/** @param {{turns?: any, turnComplete?: boolean}} [content] @returns {Json} */
export function clientContentMessage({ turns, turnComplete = true } = {}) {
  if (turns === undefined || turns === null) return { clientContent: { turnComplete } };
  return { clientContent: { turns: asContents(turns), turnComplete } };
}

/** @param {{functionResponses: any}} responses one or several @returns {Json} */
export function toolResponseMessage({ functionResponses }) {
  const list = [functionResponses ?? []].flat();
  if (list.length === 0) throw new TypeError('functionResponses is required');
  for (const item of list) {
    for (const key of ['id', 'name', 'response']) {
      if (!(key in item)) throw new TypeError(`a function response needs "${key}"`);
    }
  }
  return { toolResponse: { functionResponses: list } };
}

/** @param {{systemInstruction?: any, tools?: Json[]}} update @returns {Json} */
export function contextUpdateMessage({ systemInstruction, tools }) {
  /** @type {Json} */
  const out = {};
  if (systemInstruction !== undefined) out.systemInstruction = asContent(systemInstruction);
  if (tools) out.tools = tools.length === 0 ? {} : { tools };
  return { contextUpdate: out };
}

/** @param {Blob64 | undefined} blob @param {string} prefix */
function requireMime(blob, prefix) {
  if (blob && !blob.mimeType?.startsWith(prefix)) throw new TypeError(`not ${prefix}*: ${blob.mimeType}`);
}

/** @param {any} value a string, a part, parts or a content */
function asContent(value) {
  if (Array.isArray(value?.parts)) return value;
  const parts = [value].flat().map((part) => (typeof part === 'string' ? { text: part } : part));
  return { role: 'user', parts };
}

/** @param {any} turns what asContent takes, or a list of contents */
function asContents(turns) {
  const isList = Array.isArray(turns) && Array.isArray(turns[0]?.parts);
  return isList ? turns : [asContent(turns)];
}

/**
 * One fact out of a server frame.
 * @typedef {{type: 'setupComplete'} | {type: 'interrupted'} | {type: 'generationComplete'} | {type: 'turnComplete'}
 *   | {type: 'audio', data: string, mimeType: string} | {type: 'modelText', text: string, thought: boolean}
 *   | {type: 'inputText' | 'outputText' | 'interimInputText', text: string, finished: boolean, language?: string}
 *   | {type: 'grounding', links: Link[], queries: string[]} | {type: 'waitingForInput'}
 *   | {type: 'interactionStatus', status: string} | {type: 'voiceActivity', active: boolean}
 *   | {type: 'toolCall', calls: {id: string, name: string, args?: Record<string, unknown>}[]}
 *   | {type: 'toolCallCancellation', ids: string[]} | {type: 'usage', usage: Json}
 *   | {type: 'resumption', handle: string | null} | {type: 'goAway', timeLeftSeconds: number}
 *   | {type: 'unknown', key: string}} ServerFact
 */

/**
 * Takes a frame apart. Newer models put several things into one frame, so every key is read.
 * `interrupted` comes first (audio beside it belongs to the next turn), the ends of a turn last.
 * @param {Json} message
 * @returns {ServerFact[]}
 */
export function readServerMessage(message) {
  const facts = [];
  const content = message.serverContent ?? {};
  if (content.interrupted) facts.push({ type: 'interrupted' });
  facts.push(...readKeys(message, TOP, ''));
  for (const key of ['generationComplete', 'turnComplete']) if (content[key]) facts.push({ type: key });
  return /** @type {ServerFact[]} */ (facts);
}

/** @typedef {(value: any) => Json[]} Reader */

/**
 * Each key by its reader. Own keys of the table only: a frame may hold "constructor".
 * @param {Json} object @param {Record<string, Reader>} table @param {string} path
 */
function readKeys(object, table, path) {
  return Object.entries(object).flatMap(([key, value]) => {
    if (value === null) return []; // proto JSON for "not set"
    return Object.hasOwn(table, key) ? table[key](value) : unknown(path + key);
  });
}

const nothing = () => [];
/** @param {string} key */
const unknown = (key) => [{ type: 'unknown', key }];
/** @type {Reader} */
const interactionStatus = (status) => [{ type: 'interactionStatus', status }];

/** @type {Record<string, Reader>} */
const TOP = {
  setupComplete: () => [{ type: 'setupComplete' }],
  serverContent: (content) => readKeys(content, CONTENT, 'serverContent.'),
  interactionStatus,
  toolCall: (value) => [{ type: 'toolCall', calls: value.functionCalls ?? [] }],
  toolCallCancellation: (value) => [{ type: 'toolCallCancellation', ids: value.ids ?? [] }],
  usageMetadata: (usage) => [{ type: 'usage', usage }],
  sessionResumptionUpdate: (value) => [
    { type: 'resumption', handle: value.resumable && value.newHandle ? value.newHandle : null },
  ],
  goAway: (value) => [{ type: 'goAway', timeLeftSeconds: Number.parseFloat(value.timeLeft ?? '0') }],
  voiceActivity: (value) => [{ type: 'voiceActivity', active: value.type === 'ACTIVITY_START' }],
  voiceActivityDetectionSignal: nothing,
};

/** @type {Record<string, Reader>} */
const CONTENT = {
  interrupted: nothing,
  generationComplete: nothing,
  turnComplete: nothing,
  modelTurn: (turn) => (turn.parts ?? []).flatMap(readPart),
  inputTranscription: transcription('inputText'),
  interimInputTranscription: transcription('interimInputText'),
  outputTranscription: transcription('outputText'),
  interactionStatus,
  waitingForInput: (value) => (value ? [{ type: 'waitingForInput' }] : []),
  groundingMetadata: (value) => [
    { type: 'grounding', links: readLinks(value.groundingChunks), queries: value.webSearchQueries ?? [] },
  ],
  // Known, and nothing that a voice client does with them; they reach the app in the `message` event.
  turnCompleteReason: nothing,
  urlContextMetadata: nothing,
};

/** @param {string} type @returns {Reader} */
function transcription(type) {
  return ({ text = '', finished = false, languageCode }) => [{ type, text, finished, language: languageCode }];
}

/**
 * Where an answer comes from. Only https: an address of another kind could run in the page or leave it unseen.
 * @param {Json[]} [chunks]
 */
function readLinks(chunks = []) {
  return chunks.flatMap(Object.values).flatMap(({ uri, title }) => {
    const url = /^https:\/\//i.test(uri) && URL.canParse(uri) ? new URL(uri) : null;
    return url ? [{ title: String(title || url.hostname), url: url.href }] : [];
  });
}

/** @param {any} part @returns {Json[]} */
function readPart(part) {
  if (part.inlineData) {
    const { mimeType = '', data = '' } = part.inlineData;
    return mimeType.startsWith('audio/') ? [{ type: 'audio', data, mimeType }] : unknown(`inlineData ${mimeType}`);
  }
  if (part.text !== undefined) return [{ type: 'modelText', text: part.text, thought: !!part.thought }];
  return Object.keys(part).flatMap((key) => unknown(`part.${key}`));
}

/**
 * The same message without sound, for threads that do not play it.
 * @param {Json} message
 * @returns {Json}
 */
export function withoutAudio(message) {
  const parts = message.serverContent?.modelTurn?.parts;
  if (!parts) return message;
  const lean = parts.map((/** @type {any} */ part) =>
    part.inlineData ? { ...part, inlineData: { mimeType: part.inlineData.mimeType } } : part,
  );
  const modelTurn = { ...message.serverContent.modelTurn, parts: lean };
  return { ...message, serverContent: { ...message.serverContent, modelTurn } };
}
