/**
 * What the Live models take and how they differ, as one table. Owns every such difference. Needs nothing.
 *
 * Sources: Google's pages on each model and on thinking (September 2026). Typed text needs no column, for all of them
 * take it as `realtimeInput.text`. That a blocking call and the microphone do not go together is no documented rule:
 * 2.5 closes with 1008 and 3.1 takes the sound for a new turn and drops the call, as several projects report.
 */
/** @typedef {'BLOCKING' | 'NON_BLOCKING'} Behavior */
/**
 * @typedef {object} ModelRules
 * @property {'budget' | 'level' | 'built-in' | 'none'} thinking how its setup names it
 * @property {Behavior[]} behaviors of functions; the first where the declaration names none
 * @property {boolean} scheduling a response may say when the model is to speak of it
 * @property {boolean} content takes `clientContent` at any time, not only as its history
 * @property {boolean} video
 * @property {boolean} holdsMicrophone no sound may come while a blocking call is unanswered
 */

/** What the current generation does, and so what is expected of one that is not known yet. @type {ModelRules} */
const CURRENT = {
  thinking: 'built-in',
  behaviors: ['NON_BLOCKING', 'BLOCKING'],
  scheduling: true,
  content: true,
  video: true,
  holdsMicrophone: false,
};

/** The first pattern that fits the model's name. @type {[RegExp, Partial<ModelRules>][]} */
const MODELS = [
  [/2\.5/, { thinking: 'budget', behaviors: ['BLOCKING', 'NON_BLOCKING'], holdsMicrophone: true }],
  [/3\.1-flash-live/, { thinking: 'level', behaviors: ['BLOCKING'], scheduling: false, holdsMicrophone: true }],
  [/extended-thinking/, { thinking: 'level', behaviors: ['NON_BLOCKING'], scheduling: false }],
  [/translate|transcribe/, { thinking: 'none', scheduling: false, content: false, video: false }],
];

/** @param {string} [model] e.g. `models/gemini-3.8-live` @returns {ModelRules} */
export function rulesFor(model = '') {
  return { ...CURRENT, ...MODELS.find(([pattern]) => pattern.test(model))?.[1] };
}

/**
 * What tells a new session what was said before it, for `sendClientContent`; null when there is nothing to tell, or nobody to take it.
 * Where the setup asks for its history first, the turns are closed and nobody answers them; elsewhere closing them
 * would ask for an answer, so they stay open and the user's next words close them.
 * @param {Record<string, any>[]} turns
 * @param {Record<string, any>} [setup]
 */
export function seedMessage(turns, setup) {
  const first = !!setup?.historyConfig?.initialHistoryInClientContent;
  if (turns.length === 0 || !(first || rulesFor(setup?.model).content)) return null;
  return { turns, turnComplete: first };
}
