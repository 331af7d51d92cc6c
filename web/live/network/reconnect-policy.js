/**
 * What follows when a connection or a request for its token has failed: again, anew, or the end. Pure.
 *
 * Owns: the table of Google's closes and the broker's refusals, the delays. Needs nothing. Leaves doing it to resilient-connection.js.
 * Texts decide before codes, for 1008 and 1011 mix what is final with what will pass.
 */

/** @typedef {import('../shared/errors.js').LiveError} LiveError */
/** While a conversation was on; while taking it up by its handle; while opening one without a handle.
 * @typedef {'open' | 'resuming' | 'opening'} Phase */
/** The end; once more as before; the same, but the service is in trouble, so not all clients at one moment;
 * without the handle, with the text so far instead. @typedef {'stop' | 'retry' | 'spread' | 'seed'} Action */
/** Tries since the line last held, and how many of them the handle was refused in. @typedef {{attempt: number, refused: number}} Outage */
/** @typedef {{stop: true} | (Outage & {stop?: undefined, seed: boolean, delayMs: number})} Step */

/** What to wait before each try, milliseconds; each is drawn from its value to twice of it. */
const DELAYS = [0, 500, 1000, 2000, 4000];
/** A handle that was refused so often is given up. */
const REFUSALS = 2;
/** Who would have to wait longer is told so. */
const LONGEST_WAIT_SECONDS = 30;
const SLOWEST_RETRY_MS = 30_000;

/** What each close means in the phases open, resuming, opening. @type {[RegExp, Action, Action?, Action?][]} */
const BY_TEXT = [
  [/quota|has been exhausted/i, 'stop'],
  [/api.?key|unregistered callers|not been used in project|location is not supported/i, 'stop'],
  [/not found for api version|not supported by the model|cannot find field|deprecated|matching speaker voice/i, 'stop'],
  [/token has been used|token has expired|new_session_expire_time/i, 'retry'],
  [/invalid argument/i, 'stop', 'seed', 'stop'],
  [/entity was not found/i, 'retry', 'seed', 'retry'],
  [/operation was aborted|goaway/i, 'retry'],
  [/unavailable|deadline expired/i, 'spread'],
];
/** @type {Record<number, [Action, Action?, Action?]>} */
const BY_CODE = {
  1000: ['stop', 'retry', 'stop'],
  1001: ['spread'],
  1007: ['stop', 'seed', 'stop'],
  1008: ['retry', 'seed', 'stop'],
};
const PHASES = ['open', 'resuming', 'opening'];

/** Refusals of the broker that no second try changes, beside the statuses 400 to 422. */
const FINAL_CODES = /^(minutes-exhausted|session-(ended|unknown)|upstream-(quota|rejected)|minting-suspended|account-blocked)$/;

/**
 * @param {LiveError} error
 * @param {Phase} phase
 * @returns {Action}
 */
export function actionFor(error, phase) {
  const { closeCode, closeReason = '', status = 0, code = '', reason, retryAfterSeconds = 0 } = error;
  if (closeCode !== undefined) {
    const row = BY_TEXT.find(([text]) => text.test(closeReason))?.slice(1) ?? BY_CODE[closeCode] ?? ['retry'];
    return /** @type {Action} */ (row[PHASES.indexOf(phase)] ?? row[0]);
  }
  if (reason === 'unsupported' || FINAL_CODES.test(code) || (status >= 400 && status < 429 && status !== 408)) return 'stop';
  return retryAfterSeconds > LONGEST_WAIT_SECONDS ? 'stop' : 'retry';
}

/**
 * @param {LiveError} error
 * @param {Phase} phase
 * @param {Outage} outage
 * @param {() => number} random 0..1
 * @returns {Step}
 */
export function nextStep(error, phase, { attempt, refused }, random = Math.random) {
  const action = actionFor(error, phase);
  const delay = DELAYS[attempt];
  if (action === 'stop' || delay === undefined) return { stop: true };
  // A line that breaks says nothing about the handle.
  const closed = phase === 'resuming' && (error.closeCode ?? 1006) !== 1006;
  const refusals = refused + (closed ? 1 : 0);
  const base = Math.max(delay, (error.retryAfterSeconds ?? 0) * 1000);
  const delayMs = Math.round(base === 0 && action === 'spread' ? 1000 * random() : base * (1 + random()));
  return { attempt: attempt + 1, refused: refusals, seed: action === 'seed' || refusals >= REFUSALS, delayMs };
}

/**
 * How long to wait with the next request for a token while the old connection still carries the conversation.
 * @param {LiveError} error
 * @param {number} failures before this one
 * @param {() => number} random 0..1
 */
export function renewalDelayMs({ retryAfterSeconds = 0 }, failures, random = Math.random) {
  const delay = Math.max(retryAfterSeconds * 1000, Math.min(SLOWEST_RETRY_MS, 1000 * 2 ** failures));
  return Math.round(delay * (1 + random()));
}
