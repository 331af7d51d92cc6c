/**
 * One table of the texts and codes with which Google closes a connection: a name for each, and what the client does.
 * The only module that knows them. errors.js turns the name into a reason, error-sentences.js turns it into
 * words for a person, and network/reconnect-policy.js carries the actions out.
 *
 * Texts decide before codes, because 1008 and 1011 stand for final and for passing problems alike. What ends an open
 * conversation is a quota, a key or a region. Everything else may pass: apps report refused audio formats (1007) in about
 * 6 % of their calls, which are fine after they resume.
 */

/**
 * @typedef {'quota' | 'credentials' | 'region' | 'settings' | 'used-token' | 'late-token' | 'time-up' | 'expired-token'
 *   | 'argument' | 'handle' | 'aborted' | 'overloaded'} CloseKind
 */
/**
 * `stop`: end. `retry`: try again. `spread`: try again at a random moment, because the service is in trouble and not all
 * clients may return at once. `seed`: give up the resumption handle and send the text so far instead.
 * @typedef {'stop' | 'retry' | 'spread' | 'seed'} Action
 */
/**
 * During a conversation; while resuming with a handle; while opening without one. A missing action is the first one.
 * @typedef {[Action, Action?, Action?]} Actions
 */

/** The first pattern that matches applies. @type {[RegExp, CloseKind, ...Actions][]} */
const TEXTS = [
  [/quota|exhausted/i, 'quota', 'stop'],
  [/api.?key|unregistered|not been used in/i, 'credentials', 'stop'],
  [/location is not/i, 'region', 'stop'],
  [
    /not found for api|not supported (by|when)|cannot find field|deprecated|voice|model name|not specified|valid role/i,
    'settings',
    'retry',
    'seed',
    'stop',
  ],
  [/token has been used/i, 'used-token', 'retry'],
  [/expire_time/i, 'late-token', 'retry'],
  [/^auth token has expired/i, 'time-up', 'retry'],
  [/token has expired/i, 'expired-token', 'retry'],
  [/invalid argument/i, 'argument', 'retry', 'seed', 'stop'],
  [/entity was not found|session handle/i, 'handle', 'retry', 'seed', 'retry'],
  [/operation was aborted|goaway/i, 'aborted', 'retry'],
  [/unavailable|deadline expired/i, 'overloaded', 'spread'],
];
/** For a close without a known text. @type {Record<number, Actions>} */
const CODES = {
  1000: ['stop', 'retry', 'stop'], // the service says that this is the end
  1001: ['spread'],
  1007: ['retry', 'seed', 'stop'],
  1008: ['retry', 'seed', 'stop'],
};

/** Kinds that say the same each time, and mean no fault of the conversation. @type {Set<CloseKind | undefined>} */
const ORDINARY = new Set(['used-token', 'late-token', 'time-up', 'expired-token', 'aborted', 'overloaded']);

/**
 * What a close says, if it counts as permanent when it comes twice: the code and the text. Otherwise ''.
 * @param {number} code @param {string} text
 */
export function complaint(code, text) {
  const broken = code === 1006 || code === 1001;
  return broken || ORDINARY.has(closeMeaning(code, text).kind) ? '' : `${code} ${text}`;
}

/**
 * @param {number} code
 * @param {string} text the close frame's reason
 * @returns {{kind?: CloseKind, actions: Actions}} without a kind the text is unknown
 */
export function closeMeaning(code, text) {
  const [, kind, ...actions] = TEXTS.find(([pattern]) => pattern.test(text)) ?? [];
  return { kind, actions: kind ? /** @type {Actions} */ (actions) : (CODES[code] ?? ['retry']) };
}
