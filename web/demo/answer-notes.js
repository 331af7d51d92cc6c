/**
 * Sentences for the transcript when the assistant does not answer, or has forgotten the conversation.
 */

/** @typedef {import('../live/index.js').LiveEvents} LiveEvents */

/** What is done about it. @type {Record<LiveEvents['stalled']['step'], string>} */
const STEPS = {
  nudge: 'Asking again.',
  resume: 'Trying another connection.',
  restart: 'Starting afresh, with what was said so far.',
  end: '',
  none: '',
};

/** @param {LiveEvents['stalled']} change */
export const stalled = ({ step }) => `No answer yet. ${STEPS[step]}`.trim();

/** @param {LiveEvents['emptyturn']} change */
export const emptyTurn = ({ detail, step }) => `${detail.replace('model', 'assistant')} ${STEPS[step]}`.trim();

/** @param {LiveEvents['contextlost']} change */
export const contextLost = ({ seeded }) =>
  seeded
    ? 'The assistant had forgotten what was said. It knows it again; ask again if the answer was wrong.'
    : 'The assistant has forgotten what was said.';
