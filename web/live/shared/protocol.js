/**
 * Takes the service's frames apart, as pure functions. The only module that knows the field names the Live API sends.
 * Leaves the messages that the client sends to network/live-socket.js and network/raw-session.js.
 */

/** @typedef {Record<string, any>} Json */
/**
 * One fact from a server frame.
 * @typedef {{type: 'setupComplete'} | {type: 'interrupted'} | {type: 'generationComplete'}
 *   | {type: 'turnComplete', reason?: string}
 *   | {type: 'audio', data: string, mimeType: string} | {type: 'modelText', text: string, thought: boolean}
 *   | {type: 'inputText' | 'outputText' | 'interimInputText', text: string, finished: boolean, language?: string,
 *     details?: Json}
 *   | {type: 'grounding', metadata: Json} | {type: 'waitingForInput'}
 *   | {type: 'interactionStatus', status: string} | {type: 'voiceActivity', active: boolean}
 *   | {type: 'toolCall', calls: {id: string, name: string, args?: Record<string, unknown>}[]}
 *   | {type: 'toolCallCancellation', ids: string[]} | {type: 'usage', usage: Json}
 *   | {type: 'resumption', handle: string | null} | {type: 'goAway', timeLeftSeconds: number}
 *   | {type: 'unknown' | 'unreadable', key: string}} ServerFact
 * `unreadable`: a part of the frame has the wrong type. Only that part is left out.
 */

/** The most characters of an unknown field name that the library reports. */
const MAX_KEY = 200;
/** Begins the id of a call to which the service gave none. */
const LOCAL_ID = 'local:';
let localIds = 0;

/**
 * Returns the facts of a frame. Newer models put several facts into one frame, so every key is read.
 * `interrupted` comes first, because audio in the same frame belongs to the next turn. The ends of a turn come last.
 * Never throws: what cannot be read is an `unreadable` fact.
 * @param {unknown} message
 * @returns {ServerFact[]}
 */
export function readServerMessage(message) {
  const facts = /** @type {Json[]} */ ([]);
  const content = /** @type {any} */ (message)?.serverContent ?? {};
  if (content.interrupted === true) facts.push({ type: 'interrupted' });
  facts.push(...attempt('frame', () => readKeys(object(message), TOP, '')));
  if (content.generationComplete === true) facts.push({ type: 'generationComplete' });
  const reason = content.turnCompleteReason;
  if (content.turnComplete === true) facts.push({ type: 'turnComplete', ...(reason && { reason: String(reason) }) });
  return /** @type {ServerFact[]} */ (facts);
}

/** @typedef {(value: any) => Json[]} Reader */

/**
 * Reads each key with its reader. Only the table's own keys count: a frame may contain "constructor".
 * @param {Json} from @param {Record<string, Reader>} table @param {string} path
 */
function readKeys(from, table, path) {
  return Object.entries(from).flatMap(([key, value]) => {
    if (value === null) return []; // proto JSON for "not set"
    return Object.hasOwn(table, key) ? attempt(path + key, () => table[key](value)) : unknown(path + key);
  });
}

/** @param {string} key @param {() => Json[]} read @returns {Json[]} */
function attempt(key, read) {
  try {
    return read();
  } catch {
    return [{ type: 'unreadable', key }];
  }
}

/** Reads the items of a list one by one: an unreadable item costs only itself. @param {string} key @param {unknown} items @param {Reader} read */
const each = (key, items, read) => list(items).flatMap((item) => attempt(key, () => read(item)));

/** @param {boolean} right @param {any} value */
function check(right, value) {
  if (!right) throw new TypeError('wrong type');
  return value;
}
/** @param {any} value @returns {Json} */
const object = (value) => check(typeof value === 'object' && value !== null && !Array.isArray(value), value);
/** @param {any} value @returns {any[]} */
const list = (value) => check(Array.isArray(value ?? []), value ?? []);
/** @param {any} value @returns {string} */
const text = (value) => check(typeof (value ?? '') === 'string', value ?? '');
/** @param {any} value @returns {boolean} */
const flag = (value) => check(typeof (value ?? false) === 'boolean', value ?? false);
/** @param {any} value */
const texts = (value) => list(value).filter((item) => typeof item === 'string');

const nothing = () => [];
/** @type {Reader} */
const checked = (value) => (flag(value) ? [] : []);
/** @param {string} key */
const unknown = (key) => [{ type: 'unknown', key: key.slice(0, MAX_KEY) }];
/** @type {Reader} */
const interactionStatus = (status) => [{ type: 'interactionStatus', status: text(status) }];

/** @type {Record<string, Reader>} */
const TOP = {
  setupComplete: () => [{ type: 'setupComplete' }],
  serverContent: (content) => readKeys(object(content), CONTENT, 'serverContent.'),
  interactionStatus,
  toolCall: (value) => readCalls(object(value).functionCalls),
  toolCallCancellation: (value) => [{ type: 'toolCallCancellation', ids: texts(object(value).ids) }],
  usageMetadata: (usage) => [{ type: 'usage', usage: object(usage) }],
  sessionResumptionUpdate: (value) => {
    const handle = text(object(value).newHandle);
    return [{ type: 'resumption', handle: flag(value.resumable) && handle ? handle : null }];
  },
  goAway: (value) => {
    const timeLeftSeconds = Number.parseFloat(text(object(value).timeLeft) || '0');
    return check(Number.isFinite(timeLeftSeconds), [{ type: 'goAway', timeLeftSeconds }]);
  },
  voiceActivity: (value) => [{ type: 'voiceActivity', active: text(object(value).type) === 'ACTIVITY_START' }],
  voiceActivityDetectionSignal: nothing,
};

/** @type {Record<string, Reader>} */
const CONTENT = {
  interrupted: checked,
  generationComplete: checked,
  turnComplete: checked,
  modelTurn: (turn) => {
    const parts = list(object(turn).parts);
    const calls = parts.flatMap((part) => part?.functionCall ?? []);
    return [...each('serverContent.modelTurn', parts, readPart), ...readCalls(calls)];
  },
  inputTranscription: transcription('inputText'),
  interimInputTranscription: transcription('interimInputText'),
  outputTranscription: transcription('outputText'),
  interactionStatus,
  waitingForInput: (value) => (flag(value) ? [{ type: 'waitingForInput' }] : []),
  groundingMetadata: (metadata) => [{ type: 'grounding', metadata: object(metadata) }], // sources.js reads it
  turnCompleteReason: nothing, // belongs to turnComplete
  // Known, but of no use to a voice client. The app gets it in the `message` event.
  urlContextMetadata: nothing,
};

/** @param {string} type @returns {Reader} */
function transcription(type) {
  return (value) => {
    const { languageCode, finished, speakerLabel, startOffset, words } = object(value);
    const language = text(languageCode) || undefined;
    // Who spoke and when: heard.js reads it. Few transcriptions say it.
    const details = speakerLabel || startOffset || words ? value : undefined;
    return [{ type, text: text(value.text), finished: flag(finished), language, ...(details && { details }) }];
  };
}

/**
 * The calls of one frame. Those without an id get one of this device, which is not sent back.
 * @param {any} value
 */
function readCalls(value) {
  const read = each('toolCall', value, (call) => {
    const { id, name, args } = object(call);
    return [{ id: text(id) || LOCAL_ID + ++localIds, name: text(name), args: object(args ?? {}) }];
  });
  const calls = read.filter(({ type }) => !type);
  return [...(calls.length > 0 ? [{ type: 'toolCall', calls }] : []), ...read.filter(({ type }) => type)];
}

/** The answers as the service knows their calls. @param {Json[]} answers */
export const withoutLocalIds = (answers) =>
  answers.map((answer) => (answer.id?.startsWith(LOCAL_ID) ? { ...answer, id: undefined } : answer));

/** @type {Reader} */
function readPart(part) {
  const { inlineData, text: words, thought } = object(part);
  if (inlineData) {
    const [mimeType, data] = [text(inlineData.mimeType), text(inlineData.data)];
    return mimeType.startsWith('audio/') ? [{ type: 'audio', data, mimeType }] : unknown(`inlineData ${mimeType}`);
  }
  if (words !== undefined) return [{ type: 'modelText', text: text(words), thought: !!thought }];
  return Object.keys(part).flatMap((key) => (key === 'functionCall' ? [] : unknown(`part.${key}`)));
}

/**
 * The same message without audio data, for threads that do not play it.
 * @param {Json} message
 * @returns {Json}
 */
export function withoutAudio(message) {
  const parts = message.serverContent?.modelTurn?.parts;
  if (!Array.isArray(parts)) return message;
  const lean = parts.map((part) =>
    part?.inlineData ? { ...part, inlineData: { mimeType: part.inlineData.mimeType } } : part,
  );
  const modelTurn = { ...message.serverContent.modelTurn, parts: lean };
  return { ...message, serverContent: { ...message.serverContent, modelTurn } };
}
