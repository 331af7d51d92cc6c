/**
 * Chooses the messages that stop a model. Loads with the first `interrupt()`, after the sound has stopped. Leaves the
 * sound to turn-playback.js.
 */
import { rulesFor } from '../shared/model-rules.js';

/**
 * Any content interrupts the model, and without `turnComplete` the service then waits for the user. Google's page on 3.8
 * says that such content waits instead. Then the model continues, and the client drops what it sends.
 */
const CONTENT = { clientContent: { turnComplete: false } };
/** An empty utterance. Its start interrupts the model. */
const ACTIVITY = [{ realtimeInput: { activityStart: {} } }, { realtimeInput: { activityEnd: {} } }];

/**
 * Returns the messages that interrupt the model without asking for an answer. The list is empty if no message can stop
 * the model. It then continues, and the client drops what it sends.
 * @param {string | undefined} model
 * @param {{manual: boolean, open: boolean}} speech `manual`: the client marks the speech; `open`: it has marked a start,
 *   which has interrupted the model already
 * @returns {Record<string, any>[]}
 */
export function interruption(model, { manual, open }) {
  if (rulesFor(model).content) return [CONTENT];
  return manual && !open ? ACTIVITY : [];
}
