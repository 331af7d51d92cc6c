/**
 * Runs the page's functions when the model calls them. Owns: running calls, their cancellation, and which answers go
 * out together. Needs errors.js, and tool-work.js once there is something to run. Leaves the wire to its owner.
 */
import { LiveError, loaded } from './errors.js';

/** @typedef {(args: Record<string, unknown>, options: {signal: AbortSignal}) => unknown} ToolFunction */
/** @typedef {'INTERRUPT' | 'WHEN_IDLE' | 'SILENT'} Scheduling when the model speaks of a result it did not wait for */
/**
 * A function, or one with a word on its result. An async generator gives several results, each sent as it comes.
 * @typedef {ToolFunction | {run: ToolFunction, scheduling?: Scheduling, timeoutMs?: number}} Tool
 */
/** @typedef {{id: string, name: string, args?: Record<string, unknown>}} Call */
/** @typedef {Record<string, any>} Answer the wire's FunctionResponse */
/** @typedef {{call: Call, blocking: boolean, startedAt: number, controller: AbortController}} Running */
/**
 * @typedef {object} Surroundings
 * @property {(answers: Answer[]) => void} respond
 * @property {(name: string) => boolean} blocking whether the model waits for it
 * @property {() => boolean} scheduling whether the model is to be told when to speak of it
 * @property {<K extends 'toolcall' | 'toolresult' | 'toolcancel' | 'error'>(type: K,
 *   detail: import('./events.js').LiveEvents[K]) => void} emit
 * @property {() => void} changed `waiting` may be another one now
 */

const TIMEOUT_MS = 30_000;
const toolWork = () => loaded(import('./tool-work.js'));

export class ToolRunner {
  #tools;
  #out;
  #timeoutMs;
  /** @type {Map<string, Running>} */
  #running = new Map();
  /** Ids of this connection: a service that repeats a call does not mean it to be done twice. @type {Set<string>} */
  #seen = new Set();

  /** @param {Record<string, Tool>} tools @param {Surroundings} out @param {number} [timeoutMs] */
  constructor(tools, out, timeoutMs = TIMEOUT_MS) {
    this.#tools = tools;
    this.#out = out;
    this.#timeoutMs = timeoutMs;
  }

  /** Has it at hand what runs functions, where there are any. Rejects with a LiveError. */
  async prepare() {
    if (Object.keys(this.#tools).length > 0) await toolWork();
  }

  /** Whether the model waits for an answer. */
  get waiting() {
    return [...this.#running.values()].some(({ blocking }) => blocking);
  }

  /**
   * Runs the calls of one frame side by side. What the model waits for is answered together, the rest one by one.
   * @param {Call[]} calls
   */
  async run(calls) {
    const fresh = calls.filter(({ id }) => !this.#seen.has(id) && this.#seen.add(id));
    const runs = fresh.map((call) => {
      const run = { call, blocking: this.#out.blocking(call.name), startedAt: Date.now(), controller: new AbortController() };
      this.#running.set(call.id, run);
      this.#out.emit('toolcall', { id: call.id, name: call.name, args: call.args ?? {}, blocking: run.blocking });
      return run;
    });
    this.#out.changed();
    const answers = await Promise.all(
      runs.map(async (run) => {
        const answer = await this.#answer(run);
        if (answer && !run.blocking) this.#out.respond([answer]);
        return run.blocking ? answer : null;
      }),
    );
    // One may have been taken back while the others were still running.
    const together = answers.filter((answer) => answer !== null && this.#running.has(answer.id));
    if (together.length > 0) this.#out.respond(/** @type {Answer[]} */ (together));
    for (const { call, controller } of runs) {
      if (this.#running.get(call.id)?.controller === controller) this.#running.delete(call.id);
    }
    this.#out.changed();
  }

  /** @param {string[]} ids @param {'service' | 'connection' | 'ended'} reason */
  cancel(ids, reason) {
    for (const id of ids) {
      const run = this.#running.get(id);
      if (!run) continue;
      this.#running.delete(id);
      run.controller.abort(new LiveError({ reason: 'aborted', detail: 'The answer is not wanted any more.' }));
      this.#out.emit('toolcancel', { id, name: run.call.name, ms: Date.now() - run.startedAt, reason });
    }
  }

  /** The calls of a connection that is gone: the next one does not know them. @param {'connection' | 'ended'} reason */
  cancelAll(reason) {
    this.cancel([...this.#running.keys()], reason);
    this.#seen.clear();
  }

  /** @param {Running} run @returns {Promise<Answer | null>} null when nobody wants it any more */
  async #answer(run) {
    const { id, name } = run.call;
    const cancelled = () => this.#running.get(id) !== run;
    /** @type {Answer} */
    let answer;
    let error = null;
    try {
      const { resultOf } = await toolWork();
      if (cancelled()) return null;
      answer = await resultOf(this.#tools, run, this.#timeoutMs, this.#out);
    } catch (cause) {
      error = LiveError.from(cause, 'tool-failed');
      answer = { response: { error: error.message } };
    }
    if (cancelled()) return null;
    if (!run.blocking) this.#running.delete(id);
    this.#out.emit('toolresult', { id, name, ok: !error, ms: Date.now() - run.startedAt });
    if (error) this.#out.emit('error', { error });
    return { id, name, ...answer };
  }
}
