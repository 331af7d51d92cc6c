/**
 * The wish for one session. While its `POST /token` has no answer, every further attempt has the same `Idempotency-Key`.
 * So a session whose answer was lost is found again, and is charged once.
 */
import { LiveError } from '../shared/errors.js';

export class Intent {
  /** What was requested and not answered. */
  #asked = '';
  #key = '';

  /**
   * The same plan with the key of its request.
   * @template {{request: object} | {answer: object}} Plan a TokenPlan
   * @param {Plan} plan
   * @returns {Plan & {key?: string}}
   */
  keyed(plan) {
    if (!('request' in plan)) return plan;
    const asked = JSON.stringify(plan.request);
    if (asked !== this.#asked) this.#key = randomKey();
    this.#asked = asked;
    return { ...plan, key: this.#key };
  }

  /** A token or a refusal came, or nobody wants the session any more. */
  answered() {
    this.#asked = '';
  }

  /** @param {unknown} why the start has failed */
  failed(why) {
    if (!(why instanceof LiveError && why.reason === 'network')) this.answered();
  }
}

/** Not `randomUUID`, which exists on HTTPS only. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('-');
}
