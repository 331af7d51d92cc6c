/**
 * What one call of a function comes to: run it, wait for it, make of it what can be sent. Owns the time limit, and results
 * that come one by one. Needs errors.js. Loaded when there are functions, and with the first call.
 * Leaves which calls run, and which of their answers are still wanted, to tool-runner.js.
 */
import { LiveError } from './errors.js';

/** @typedef {import('./tool-runner.js').Answer} Answer */
/** @typedef {import('./tool-runner.js').Running} Running */
/** @typedef {import('./tool-runner.js').Surroundings} Surroundings */

/**
 * The answer without its address. Throws what the function throws.
 * @param {Record<string, import('./tool-runner.js').Tool>} tools
 * @param {Running} run @param {number} limitMs where the function has none of its own @param {Surroundings} out
 * @returns {Promise<Answer>}
 */
export async function resultOf(tools, run, limitMs, out) {
  const { call, blocking, controller } = run;
  // Own properties only: a model may ask for "constructor".
  if (!Object.hasOwn(tools, call.name)) throw new Error(`There is no function ${call.name}.`);
  const tool = tools[call.name];
  const { run: work, scheduling, timeoutMs = limitMs } = typeof tool === 'function' ? { run: tool } : tool;
  const later = !blocking && scheduling && out.scheduling() ? { scheduling } : {};
  const timer = setTimeout(() => {
    controller.abort(new LiveError({ reason: 'tool-failed', detail: `The function took longer than ${timeoutMs} ms.` }));
  }, timeoutMs);
  try {
    const result = await whileNot(controller.signal, work(call.args ?? {}, { signal: controller.signal }));
    if (!isGenerator(result)) return { response: asResponse(result), ...later };
    const last = await follow(run, result, later, out);
    // Without a last word there is nothing to speak of, which only SILENT says.
    const over = last === undefined && !blocking && out.scheduling();
    return over ? { response: {}, scheduling: 'SILENT' } : { response: asResponse(last), ...later };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The results on the way, for a model that does not wait; the last one.
 * @param {Running} run @param {AsyncGenerator} results @param {Answer} later @param {Surroundings} out
 */
async function follow({ call: { id, name }, blocking, controller }, results, later, out) {
  controller.signal.addEventListener('abort', () => void results.return(undefined).catch(() => {}));
  let latest;
  for (;;) {
    const { done, value } = await whileNot(controller.signal, results.next());
    if (done) return value === undefined && blocking ? latest : value;
    latest = value;
    if (!blocking) out.respond([{ id, name, response: asResponse(value), willContinue: true, ...later }]);
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
