/**
 * The network's questions to the page, each with its answer. Leaves what they mean to the page.
 */
import { LiveError } from '../shared/errors.js';

/** @typedef {import('./messages.js').NetworkCommand & {type: 'reply'}} Reply */

const TIMEOUT_MS = 10_000;

export class Questions {
  #report;
  #count = 0;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: LiveError) => void}>} */
  #open = new Map();

  /** @param {(report: import('./messages.js').NetworkReport) => void} report */
  constructor(report) {
    this.#report = report;
  }

  /** @param {import('./messages.js').Question} what @param {object} [detail] @returns {Promise<any>} */
  ask(what, detail) {
    const id = ++this.#count;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      const error = { reason: /** @type {const} */ ('network'), detail: 'The page did not answer.' };
      setTimeout(() => this.answered({ id, error }), TIMEOUT_MS);
      this.#report({ type: 'ask', id, what, detail });
    });
  }

  /** @param {Omit<Reply, 'type'>} reply */
  answered({ id, value, error }) {
    const question = this.#open.get(id);
    this.#open.delete(id);
    if (error) question?.reject(new LiveError(error));
    else question?.resolve(value);
  }
}
