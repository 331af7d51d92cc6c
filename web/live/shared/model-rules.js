/**
 * One table of how the Live models differ: thinking, functions, text, video, patience.
 *
 * Sources: Google's pages on each model and on thinking (September 2026). Typed text needs no column, because every
 * model takes it as `realtimeInput.text`. No document says that a blocking call and the microphone exclude each other.
 * Several projects report it: 2.5 closes with 1008, and 3.1 takes the sound for a new turn and drops the call.
 */
/** @typedef {'BLOCKING' | 'NON_BLOCKING'} Behavior */
/**
 * @typedef {object} ModelRules
 * @property {'budget' | 'level' | 'built-in' | 'none'} thinking how the setup names it
 * @property {Behavior[]} behaviors of functions; the first is the default
 * @property {boolean} scheduling a function response may say when the model talks about it
 * @property {boolean} content takes `clientContent` at any time, not only as the initial history; it interrupts the model
 * @property {boolean} video
 * @property {boolean} replies answers the user; otherwise it only writes down what it hears, without turns
 * @property {number} patienceMs how long it may be silent after the user's turn, without deeper thoughts and searches
 * @property {boolean} holdsMicrophone no audio may be sent while a blocking call is unanswered
 */

/** The rules of the current generation, and the default for an unknown model. @type {ModelRules} */
const CURRENT = {
  thinking: 'built-in',
  behaviors: ['NON_BLOCKING', 'BLOCKING'],
  scheduling: true,
  content: true,
  video: true,
  replies: true,
  patienceMs: 6000,
  holdsMicrophone: false,
};

/** The first pattern that matches the model's name applies. @type {[RegExp, Partial<ModelRules>][]} */
const MODELS = [
  [/2\.5/, { thinking: 'budget', behaviors: ['BLOCKING', 'NON_BLOCKING'], holdsMicrophone: true }],
  [/3\.1-flash-live/, { thinking: 'level', behaviors: ['BLOCKING'], scheduling: false, holdsMicrophone: true }],
  [/extended-thinking/, { thinking: 'level', behaviors: ['NON_BLOCKING'], scheduling: false, patienceMs: 20_000 }],
  [/transcribe/, { thinking: 'none', scheduling: false, content: false, video: false, replies: false }],
  [/translate/, { thinking: 'none', scheduling: false, content: false, video: false }],
];

/** Whether the model answers with text, so that nothing is heard. @param {Record<string, any>} [setup] */
export const onlyWrites = (setup) => setup?.generationConfig?.responseModalities?.join() === 'TEXT';

/** @param {string} [model] e.g. `models/gemini-3.8-live` @returns {ModelRules} */
export function rulesFor(model = '') {
  return { ...CURRENT, ...MODELS.find(([pattern]) => pattern.test(model))?.[1] };
}

/** What deeper thoughts, and what a search or another tool of the service's own, may take in addition. */
const EXTRA_MS = 6000;
const MANY_THOUGHTS = 1024;

/** How long the model may be silent after the user's turn, milliseconds. @param {Record<string, any>} [setup] */
export function patienceMs(setup) {
  const { thinkingLevel, thinkingBudget } = setup?.generationConfig?.thinkingConfig ?? {};
  const thinks = /medium|high/i.test(thinkingLevel) || thinkingBudget > MANY_THOUGHTS;
  const searches = setup?.tools?.some((/** @type {any} */ tool) => !tool.functionDeclarations);
  return rulesFor(setup?.model).patienceMs + (thinks ? EXTRA_MS : 0) + (searches ? EXTRA_MS : 0);
}

/**
 * The message that gives a session the turns that it does not know, for `sendClientContent`. Returns null when there is
 * nothing to send or the model takes no turns.
 *
 * Where the setup of a new session asks for its history first, the turns are closed and the model does not answer them.
 * Elsewhere a closed turn would ask for an answer, so the turns stay open until the user speaks.
 * @param {Record<string, any>[]} turns
 * @param {Record<string, any>} [setup]
 */
export function historyMessage(turns, setup) {
  const closed = !!setup?.historyConfig?.initialHistoryInClientContent && !setup.sessionResumption?.handle;
  if (turns.length === 0 || !(closed || rulesFor(setup?.model).content)) return null;
  return { turns, turnComplete: closed };
}
