/**
 * The wish for one session. While its `POST /token` has no answer, every further attempt has the same `Idempotency-Key`.
 * So a session whose answer was lost is found again, and is charged once.
 */
export class Intent {
  /** What was requested and not answered. */
  #asked = '';
  #key = '';

  /**
   * The same plan with the key of its request.
   * @template {{request: {url: string, body: string}} | {answer: object}} Plan a TokenPlan
   * @param {Plan} plan
   * @returns {Plan & {key?: string}}
   */
  keyed(plan) {
    if (!('request' in plan)) return plan;
    const { url, body } = plan.request;
    const asked = `${url} ${body}`;
    if (asked !== this.#asked) this.#key = randomKey();
    this.#asked = asked;
    return { ...plan, key: this.#key };
  }

  /** A token or a refusal came, or nobody wants the session any more. */
  answered() {
    this.#asked = '';
  }
}

/** Not `randomUUID`, which exists on HTTPS only. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('-');
}
