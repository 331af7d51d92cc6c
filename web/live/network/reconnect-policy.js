/**
 * Decides what follows a failed connection or token request: try again, start a new session, or end. Pure.
 * Leaves Google's texts and codes to close-reasons.js, and the attempts to resilient-connection.js.
 */
import { closeMeaning } from '../shared/close-reasons.js';
import { ENDING_CODES } from './broker-request.js';

/** @typedef {import('../shared/errors.js').LiveError} LiveError */
/**
 * During a conversation, while resuming with a handle, or while opening without one.
 * @typedef {'open' | 'resuming' | 'opening'} Phase
 */
/** @typedef {import('../shared/close-reasons.js').Action} Action */
/** `attempt`: attempts since the last stable connection; `refused`: how often the handle was refused.
 * @typedef {{attempt: number, refused: number}} Outage */
/** @typedef {{stop: true} | (Outage & {stop?: undefined, seed: boolean, delayMs: number})} Step */

/** The shortest wait before each attempt, milliseconds. The wait is random, up to twice as long. */
const DELAYS = [0, 500, 1000, 2000, 4000];
/** After this number of refusals the client gives a handle up. */
const MAX_REFUSALS = 2;
/** A longer `Retry-After` ends the attempts with an error. */
const MAX_WAIT_SECONDS = 30;
const MAX_RENEWAL_DELAY_MS = 30_000;

const PHASES = ['open', 'resuming', 'opening'];

/** The broker's codes that are final, in addition to the statuses 400 to 422. */
const FINAL_CODES = new Set([...ENDING_CODES, 'upstream-quota', 'upstream-rejected', 'minting-suspended']);

/**
 * @param {LiveError} error
 * @param {Phase} phase
 * @returns {Action}
 */
export function actionFor(error, phase) {
  const { closeCode, closeReason = '', status = 0, code = '', reason, retryAfterSeconds = 0 } = error;
  if (closeCode !== undefined) {
    const { actions } = closeMeaning(closeCode, closeReason);
    return actions[PHASES.indexOf(phase)] ?? actions[0];
  }
  const final = FINAL_CODES.has(code) || (status >= 400 && status < 429 && status !== 408);
  if (reason === 'unsupported' || final) return 'stop';
  return retryAfterSeconds > MAX_WAIT_SECONDS ? 'stop' : 'retry';
}

/**
 * @param {LiveError} error
 * @param {Phase} phase
 * @param {Outage} outage
 * @param {() => number} random 0 to 1
 * @returns {Step}
 */
export function nextStep(error, phase, { attempt, refused }, random = Math.random) {
  const action = actionFor(error, phase);
  const delay = DELAYS[attempt];
  if (action === 'stop' || delay === undefined) return { stop: true };
  // A broken connection (1006) says nothing about the handle.
  const refusal = phase === 'resuming' && (error.closeCode ?? 1006) !== 1006;
  const refusals = refused + (refusal ? 1 : 0);
  const base = Math.max(delay, (error.retryAfterSeconds ?? 0) * 1000);
  const delayMs = Math.round(base === 0 && action === 'spread' ? 1000 * random() : base * (1 + random()));
  return { attempt: attempt + 1, refused: refusals, seed: action === 'seed' || refusals >= MAX_REFUSALS, delayMs };
}

/**
 * How long to wait before the next token request, while the old connection still carries the conversation.
 * @param {LiveError} error
 * @param {number} failures before this one
 * @param {() => number} random 0 to 1
 */
export function renewalDelayMs({ retryAfterSeconds = 0 }, failures, random = Math.random) {
  const delay = Math.max(retryAfterSeconds * 1000, Math.min(MAX_RENEWAL_DELAY_MS, 1000 * 2 ** failures));
  return Math.round(delay * (1 + random()));
}
