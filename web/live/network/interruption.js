/**
 * How a model is told that the user has stopped it. Loads with the first `interrupt()`, after the sound has stopped.
 * Leaves the sound to turn-playback.js.
 */
import { rulesFor } from '../shared/model-rules.js';

/** Any content interrupts the model. Without `turnComplete` the service then waits for the user. */
const CONTENT = { clientContent: { turnComplete: false } };
/** An empty utterance. Its start interrupts the model. */
const ACTIVITY = [{ realtimeInput: { activityStart: {} } }, { realtimeInput: { activityEnd: {} } }];

/**
 * The messages that interrupt a model and ask for no answer. None: the model cannot be told. It goes on, and nobody
 * hears it.
 * @param {string | undefined} model
 * @param {{manual: boolean, open: boolean}} speech `manual`: the client marks the speech; `open`: it has marked a start,
 *   which has interrupted the model already
 * @returns {Record<string, any>[]}
 */
export function interruption(model, { manual, open }) {
  if (rulesFor(model).content) return [CONTENT];
  return manual && !open ? ACTIVITY : [];
}
