/**
 * Why the service ended a turn without an answer (`turnCompleteReason`), in words, and whether to ask again.
 * The only module that knows the names.
 */

/** Asked again, the model may answer. @type {Record<string, string>} */
const FAILURES = {
  MALFORMED_FUNCTION_CALL: 'The model called a function in a wrong way.',
  RESPONSE_REJECTED: 'The model rejected its own answer.',
  MAX_REGENERATION_REACHED: 'The model tried several answers and rejected them all.',
};
const UNKNOWN = 'The model ended its turn without an answer.';

/**
 * @param {string} reason '' or an unknown one counts as a failure
 * @returns {{final: boolean, detail: string}} `final`: asking again does not help
 */
export function turnReason(reason) {
  if (reason === 'NEED_MORE_INPUT') return { final: true, detail: 'The model waits for you to go on.' };
  if (Object.hasOwn(FAILURES, reason)) return { final: false, detail: FAILURES[reason] };
  // All other reasons that the service names are safety rules: for what it received, or for what it made of it.
  if (/^(GENERATED|OUTPUT)_/.test(reason)) {
    return { final: true, detail: 'The service withheld the answer because of its safety rules.' };
  }
  if (/PROHIBITED|^INPUT_|BLOCKLIST|UNSAFE|SAFETY/.test(reason)) {
    return { final: true, detail: 'The service does not answer this because of its safety rules.' };
  }
  return { final: false, detail: UNKNOWN };
}
