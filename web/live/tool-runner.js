/**
 * Runs the page's functions when the model calls them. Owns: running calls and their cancellation.
 * Needs errors.js. Leaves sending the answers to its owner.
 */
import { LiveError } from './errors.js';

/** @typedef {(args: Record<string, unknown>, options: {signal: AbortSignal}) => unknown} Tool */
/** @typedef {{id: string, name: string, args?: Record<string, unknown>}} Call */
/** @typedef {{id: string, name: string, response: Record<string, unknown>}} Answer */

export class ToolRunner {
  #tools;
  /** @type {Map<string, AbortController>} */
  #running = new Map();
  #done;

  /**
   * @param {Record<string, Tool>} tools
   * @param {(call: Call, error: LiveError | null) => void} done each call that was not cancelled
   */
  constructor(tools, done) {
    this.#tools = tools;
    this.#done = done;
  }

  /** Calls whose answer the model waits for. */
  get pending() {
    return this.#running.size;
  }

  /**
   * Runs the calls of one frame side by side; the answers of those that were not cancelled.
   * @param {Call[]} calls
   * @returns {Promise<Answer[]>}
   */
  async run(calls) {
    const answers = await Promise.all(calls.map((call) => this.#runOne(call)));
    return answers.filter((answer) => answer !== null);
  }

  /** @param {string[]} ids */
  cancel(ids) {
    for (const id of ids) {
      this.#running.get(id)?.abort();
      this.#running.delete(id);
    }
  }

  cancelAll() {
    this.cancel([...this.#running.keys()]);
  }

  /** @param {Call} call @returns {Promise<Answer | null>} */
  async #runOne(call) {
    const { id, name, args = {} } = call;
    const controller = new AbortController();
    this.#running.set(id, controller);
    let response;
    let error = null;
    try {
      // Own properties only: a model may ask for "constructor".
      if (!Object.hasOwn(this.#tools, name)) throw new Error(`There is no function ${name}.`);
      const result = await whileNot(controller.signal, this.#tools[name](args, { signal: controller.signal }));
      response = isRecord(result) ? result : { result: result ?? null };
      JSON.stringify(response); // a result that cannot be sent is the tool's failure, not the session's
    } catch (cause) {
      error = LiveError.from(cause, 'tool-failed');
      response = { error: error.message };
    }
    if (controller.signal.aborted) return null;
    this.#running.delete(id);
    this.#done(call, error);
    return { id, name, response };
  }
}

/**
 * The value, or a rejection as soon as the signal says so: a tool may not listen to it.
 * @param {AbortSignal} signal @param {unknown} value
 */
function whileNot(signal, value) {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    Promise.resolve(value).then(resolve, reject);
  });
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
function isRecord(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
