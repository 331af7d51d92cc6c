/**
 * Takes the service's frames apart, as pure functions. The only module that knows the field names the Live API sends.
 * Leaves the messages that the client sends to network/live-socket.js and network/raw-session.js.
 */

/** @typedef {Record<string, any>} Json */
/** @typedef {{title: string, url: string}} Link a plain-text title and an https address */
/**
 * One fact from a server frame.
 * @typedef {{type: 'setupComplete'} | {type: 'interrupted'} | {type: 'generationComplete'}
 *   | {type: 'turnComplete', reason?: string}
 *   | {type: 'audio', data: string, mimeType: string} | {type: 'modelText', text: string, thought: boolean}
 *   | {type: 'inputText' | 'outputText' | 'interimInputText', text: string, finished: boolean, language?: string,
 *     details?: Json}
 *   | {type: 'grounding', links: Link[], queries: string[]} | {type: 'waitingForInput'}
 *   | {type: 'interactionStatus', status: string} | {type: 'voiceActivity', active: boolean}
 *   | {type: 'toolCall', calls: {id: string, name: string, args?: Record<string, unknown>}[]}
 *   | {type: 'toolCallCancellation', ids: string[]} | {type: 'usage', usage: Json}
 *   | {type: 'resumption', handle: string | null} | {type: 'goAway', timeLeftSeconds: number}
 *   | {type: 'unknown', key: string}} ServerFact
 */

/**
 * Returns the facts of a frame. Newer models put several facts into one frame, so every key is read.
 * `interrupted` comes first, because audio in the same frame belongs to the next turn. The ends of a turn come last.
 * @param {Json} message
 * @returns {ServerFact[]}
 */
export function readServerMessage(message) {
  const facts = [];
  const content = message.serverContent ?? {};
  if (content.interrupted) facts.push({ type: 'interrupted' });
  facts.push(...readKeys(message, TOP, ''));
  if (content.generationComplete) facts.push({ type: 'generationComplete' });
  const reason = content.turnCompleteReason;
  if (content.turnComplete) facts.push({ type: 'turnComplete', ...(reason && { reason: String(reason) }) });
  return /** @type {ServerFact[]} */ (facts);
}

/** @typedef {(value: any) => Json[]} Reader */

/**
 * Reads each key with its reader. Only the table's own keys count: a frame may contain "constructor".
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
  turnCompleteReason: nothing, // belongs to turnComplete
  // Known, but of no use to a voice client. The app gets it in the `message` event.
  urlContextMetadata: nothing,
};

/** @param {string} type @returns {Reader} */
function transcription(type) {
  return (value) => {
    const { text = '', finished = false, languageCode: language } = value;
    // Who spoke and when: heard.js reads it. Few transcriptions say it.
    const details = value.speakerLabel || value.startOffset || value.words ? value : undefined;
    return [{ type, text, finished, language, ...(details && { details }) }];
  };
}

/**
 * The sources of an answer. Only https links: another scheme could run code in the page or leave it unnoticed.
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
 * The same message without audio data, for threads that do not play it.
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
