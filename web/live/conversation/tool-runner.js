/**
 * Runs the page's functions when the model calls them: time limits, cancellation, and the grouping of answers.
 * Leaves the wire to conversation.js, which loads this module at the start if there are functions, or with the first
 * call.
 */
import { LiveError } from '../shared/errors.js';

/** @typedef {(args: Record<string, unknown>, options: {signal: AbortSignal}) => unknown} ToolFunction */
/** @typedef {'INTERRUPT' | 'WHEN_IDLE' | 'SILENT'} Scheduling when the model talks about a result it did not wait for */
/**
 * A function, alone or with options. An async generator gives several results, each sent as it comes.
 * @typedef {ToolFunction | {run: ToolFunction, scheduling?: Scheduling, timeoutMs?: number}} Tool
 */
/** @typedef {{id: string, name: string, args?: Record<string, unknown>}} Call */
/** @typedef {Record<string, any>} Answer the wire's FunctionResponse */
/** @typedef {{call: Call, blocking: boolean, startedAt: number, controller: AbortController}} Running */
/**
 * @typedef {object} ToolHost
 * @property {(answers: Answer[]) => void} respond
 * @property {() => import('../shared/model-rules.js').ModelRules} rules
 * @property {() => Record<string, any>[]} declared the setup's tools
 * @property {<K extends 'toolcall' | 'toolresult' | 'toolcancel' | 'error'>(type: K,
 *   detail: import('../shared/events.js').LiveEvents[K]) => void} emit
 * @property {() => void} changed `waiting` may have changed
 */

const TIMEOUT_MS = 30_000;

export class ToolRunner {
  #tools;
  #host;
  #timeoutMs;
  /** @type {Map<string, Running>} */
  #running = new Map();
  /** Ids of this connection. A service that repeats a call does not want it to run twice. @type {Set<string>} */
  #seen = new Set();

  /** @param {ToolHost} host @param {{tools?: Record<string, Tool>, toolTimeoutMs?: number}} options */
  constructor(host, { tools = {}, toolTimeoutMs: timeoutMs = TIMEOUT_MS }) {
    this.#tools = tools;
    this.#host = host;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether the model waits for an answer. */
  get waiting() {
    return [...this.#running.values()].some(({ blocking }) => blocking);
  }

  /**
   * Runs the calls of one frame in parallel. Blocking calls are answered together, the others one by one.
   * @param {Call[]} calls
   */
  async run(calls) {
    const runs = calls.filter(({ id }) => !this.#seen.has(id) && this.#seen.add(id)).map((call) => this.#begin(call));
    this.#host.changed();
    const answers = await Promise.all(
      runs.map(async (run) => {
        const answer = await this.#answer(run);
        if (answer && !run.blocking) this.#host.respond([answer]);
        return run.blocking ? answer : null;
      }),
    );
    // The service may have cancelled a finished call while the others were still running.
    const together = answers.filter((answer) => answer !== null && this.#running.has(answer.id));
    if (together.length > 0) this.#host.respond(/** @type {Answer[]} */ (together));
    for (const { call, controller } of runs) {
      if (this.#running.get(call.id)?.controller === controller) this.#running.delete(call.id);
    }
    this.#host.changed();
  }

  /** @param {Call} call @returns {Running} */
  #begin(call) {
    const { id, name, args = {} } = call;
    const blocking = this.#isBlocking(name);
    const run = { call, blocking, startedAt: Date.now(), controller: new AbortController() };
    this.#running.set(id, run);
    this.#host.emit('toolcall', { id, name, args, blocking });
    return run;
  }

  /** Whether the model waits for a function: its declaration decides, then the model's default. @param {string} name */
  #isBlocking(name) {
    const { behaviors } = this.#host.rules();
    const declared = this.#host.declared().flatMap(({ functionDeclarations = [] }) => functionDeclarations);
    const wanted = declared.find((one) => one.name === name)?.behavior;
    return (behaviors.includes(wanted) ? wanted : behaviors[0]) === 'BLOCKING';
  }

  /** @param {string[]} ids @param {'service' | 'connection' | 'ended'} reason */
  cancel(ids, reason) {
    for (const id of ids) {
      const run = this.#running.get(id);
      if (!run) continue;
      this.#running.delete(id);
      run.controller.abort(new LiveError({ reason: 'aborted', detail: 'The answer is no longer needed.' }));
      this.#host.emit('toolcancel', { id, name: run.call.name, ms: Date.now() - run.startedAt, reason });
    }
  }

  /** The connection is gone, and the next one does not know these calls. @param {'connection' | 'ended'} reason */
  cancelAll(reason) {
    this.cancel([...this.#running.keys()], reason);
    this.#seen.clear();
  }

  /** @param {Running} run @returns {Promise<Answer | null>} null when the answer is no longer needed */
  async #answer(run) {
    const { id, name } = run.call;
    const cancelled = () => this.#running.get(id) !== run;
    /** @type {Answer} */
    let answer;
    let error = null;
    await null; // a call that was cancelled while this module was loading does not start
    if (cancelled()) return null;
    try {
      answer = await this.#result(run);
    } catch (cause) {
      error = LiveError.from(cause, 'tool-failed');
      answer = { response: { error: error.message } };
    }
    if (cancelled()) return null;
    if (!run.blocking) this.#running.delete(id);
    this.#host.emit('toolresult', { id, name, ok: !error, ms: Date.now() - run.startedAt });
    if (error) this.#host.emit('error', { error });
    return { id, name, ...answer };
  }

  /** @param {Running} run @returns {Promise<Answer>} */
  async #result(run) {
    const { call, controller } = run;
    // Own properties only: a model may ask for "constructor".
    if (!Object.hasOwn(this.#tools, call.name)) throw new Error(`There is no function ${call.name}.`);
    const tool = this.#tools[call.name];
    const { run: work, scheduling, timeoutMs = this.#timeoutMs } = typeof tool === 'function' ? { run: tool } : tool;
    const schedulingField = !run.blocking && scheduling && this.#host.rules().scheduling ? { scheduling } : {};
    const timer = setTimeout(() => {
      const detail = `The function took longer than ${timeoutMs} ms.`;
      controller.abort(new LiveError({ reason: 'tool-failed', detail }));
    }, timeoutMs);
    try {
      const result = await unlessAborted(controller.signal, work(call.args ?? {}, { signal: controller.signal }));
      if (!isGenerator(result)) return { response: asResponse(result), ...schedulingField };
      const last = await this.#drainGenerator(run, result, schedulingField);
      // Without a final result the model has nothing to talk about. Only SILENT says so.
      const nothingLeft = last === undefined && !run.blocking && this.#host.rules().scheduling;
      if (nothingLeft) return { response: {}, scheduling: 'SILENT' };
      return { response: asResponse(last), ...schedulingField };
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Sends each result to a model that does not wait. Returns the last one.
   * @param {Running} run @param {AsyncGenerator} results @param {Answer} schedulingField
   */
  async #drainGenerator({ call: { id, name }, blocking, controller }, results, schedulingField) {
    controller.signal.addEventListener('abort', () => void results.return(undefined).catch(() => {}));
    let latest;
    for (;;) {
      const { done, value } = await unlessAborted(controller.signal, results.next());
      if (done) return value === undefined && blocking ? latest : value;
      latest = value;
      if (blocking) continue;
      this.#host.respond([{ id, name, response: asResponse(value), willContinue: true, ...schedulingField }]);
    }
  }
}

/**
 * The result as an object, because the service accepts objects only. Throws when JSON cannot express it.
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
 * The value, or a rejection as soon as the signal is aborted: a function may ignore its signal.
 * @template T @param {AbortSignal} signal @param {T | Promise<T>} value @returns {Promise<T>}
 */
function unlessAborted(signal, value) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    Promise.resolve(value).then(resolve, reject);
  });
}
