/**
 * Runs the page's functions when the model calls them. Owns: running calls, their time limit and their cancellation,
 * which the model waits for, and which answers go out together. Needs errors.js. Loaded where there are functions, or
 * with the first call. Leaves the wire to its owner.
 */
import { LiveError } from '../shared/errors.js';

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
 * @property {() => import('../shared/model-rules.js').ModelRules} rules
 * @property {() => Record<string, any>[]} declared the setup's tools
 * @property {<K extends 'toolcall' | 'toolresult' | 'toolcancel' | 'error'>(type: K,
 *   detail: import('../shared/events.js').LiveEvents[K]) => void} emit
 * @property {() => void} changed `waiting` may be another one now
 */

const TIMEOUT_MS = 30_000;

export class ToolRunner {
  #tools;
  #out;
  #timeoutMs;
  /** @type {Map<string, Running>} */
  #running = new Map();
  /** Ids of this connection: a service that repeats a call does not mean it to be done twice. @type {Set<string>} */
  #seen = new Set();

  /** @param {Surroundings} out @param {{tools?: Record<string, Tool>, toolTimeoutMs?: number}} options */
  constructor(out, { tools = {}, toolTimeoutMs: timeoutMs = TIMEOUT_MS }) {
    this.#tools = tools;
    this.#out = out;
    this.#timeoutMs = timeoutMs;
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
      const run = { call, blocking: this.#isBlocking(call.name), startedAt: Date.now(), controller: new AbortController() };
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

  /** Whether the model waits for it, by its declaration or by what the model does with all of them. @param {string} name */
  #isBlocking(name) {
    const { behaviors } = this.#out.rules();
    const declared = this.#out.declared().flatMap(({ functionDeclarations = [] }) => functionDeclarations);
    const wanted = declared.find((one) => one.name === name)?.behavior;
    return (behaviors.includes(wanted) ? wanted : behaviors[0]) === 'BLOCKING';
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
    await null; // what was taken back while this file was on its way is not begun
    if (cancelled()) return null;
    try {
      answer = await this.#result(run);
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

  /** @param {Running} run @returns {Promise<Answer>} */
  async #result(run) {
    const { call, controller } = run;
    // Own properties only: a model may ask for "constructor".
    if (!Object.hasOwn(this.#tools, call.name)) throw new Error(`There is no function ${call.name}.`);
    const tool = this.#tools[call.name];
    const { run: work, scheduling, timeoutMs = this.#timeoutMs } = typeof tool === 'function' ? { run: tool } : tool;
    const later = !run.blocking && scheduling && this.#out.rules().scheduling ? { scheduling } : {};
    const timer = setTimeout(() => {
      controller.abort(new LiveError({ reason: 'tool-failed', detail: `The function took longer than ${timeoutMs} ms.` }));
    }, timeoutMs);
    try {
      const result = await whileNot(controller.signal, work(call.args ?? {}, { signal: controller.signal }));
      if (!isGenerator(result)) return { response: asResponse(result), ...later };
      const last = await this.#follow(run, result, later);
      // Without a last word there is nothing to speak of, which only SILENT says.
      const over = last === undefined && !run.blocking && this.#out.rules().scheduling;
      return over ? { response: {}, scheduling: 'SILENT' } : { response: asResponse(last), ...later };
    } finally {
      clearTimeout(timer);
    }
  }

  /** The results on the way, for a model that does not wait; the last one. @param {Running} run
   * @param {AsyncGenerator} results @param {Answer} later */
  async #follow({ call: { id, name }, blocking, controller }, results, later) {
    controller.signal.addEventListener('abort', () => void results.return(undefined).catch(() => {}));
    let latest;
    for (;;) {
      const { done, value } = await whileNot(controller.signal, results.next());
      if (done) return value === undefined && blocking ? latest : value;
      latest = value;
      if (!blocking) this.#out.respond([{ id, name, response: asResponse(value), willContinue: true, ...later }]);
    }
  }
}

/**
 * What can be sent: the service takes objects only. Throws for what JSON has no form for.
 * @param {unknown} result @returns {Record<string, unknown>}
 */
function asResponse(result) {
  const plain = JSON.parse(JSON.stringify(result) ?? 'null');
  return typeof plain === 'object' && plain !== null && !Array.isArray(plain) ? plain : { result: plain };
}

/** @param {any} value @returns {value is AsyncGenerator} */
function isGenerator(value) {
  return typeof value?.[Symbol.asyncIterator] === 'function' && typeof value.next === 'function';
}

/**
 * The value, or a rejection as soon as the signal says so: a tool may not listen to it.
 * @template T @param {AbortSignal} signal @param {T | Promise<T>} value @returns {Promise<T>}
 */
function whileNot(signal, value) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    Promise.resolve(value).then(resolve, reject);
  });
}
