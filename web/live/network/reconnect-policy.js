/**
 * Decides what follows a failed connection or token request: try again, start a new session, or end. Pure.
 * Leaves Google's texts and codes to close-reasons.js, and the attempts to resilient-connection.js.
 */
import { closeMeaning, complaint } from '../shared/close-reasons.js';
import { LiveError } from '../shared/errors.js';
import { ENDING_CODES } from './broker-request.js';

/**
 * During a conversation, while resuming with a handle, or while opening without one.
 * @typedef {'open' | 'resuming' | 'opening'} Phase
 */
/** @typedef {import('../shared/close-reasons.js').Action} Action */
/**
 * `attempt`: attempts since the conversation last went on; `refused`: how often the handle was refused; `complaint`: what
 * the service said last; `repeats`: how often it has said so in a row.
 * @typedef {{attempt: number, refused: number, complaint: string, repeats: number}} Outage
 */
/** @typedef {{stop: true} | (Outage & {stop?: undefined, seed: boolean, delayMs: number})} Step */

/** @type {Outage} */
export const NO_OUTAGE = { attempt: 0, refused: 0, complaint: '', repeats: 0 };

/** The shortest wait before each attempt, milliseconds. The wait is random, up to twice as long. */
const DELAYS = [0, 500, 1000, 2000, 4000];
/** After this number of refusals the client gives a handle up. */
const MAX_REFUSALS = 2;
/** What the service says this often about an open conversation is permanent: not the handle, not the text so far helped. */
const MAX_REPEATS = 3;
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
export function nextStep(error, phase, outage, random = Math.random) {
  const action = actionFor(error, phase);
  const { closeCode = 1006, closeReason = '' } = error;
  const said = complaint(closeCode, closeReason);
  const repeats = said && said === outage.complaint ? outage.repeats + 1 : 1;
  const permanent = phase === 'open' && repeats >= MAX_REPEATS;
  const delay = DELAYS[outage.attempt];
  if (action === 'stop' || permanent || delay === undefined) return { stop: true };
  // A broken connection (1006) says nothing about the handle.
  const refusal = phase === 'resuming' && closeCode !== 1006;
  const refused = outage.refused + (refusal ? 1 : 0);
  const seed = action === 'seed' || refused >= MAX_REFUSALS || (phase === 'open' && repeats > 1);
  const base = Math.max(delay, (error.retryAfterSeconds ?? 0) * 1000);
  const delayMs = Math.round(base === 0 && action === 'spread' ? 1000 * random() : base * (1 + random()));
  return {
    attempt: outage.attempt + 1,
    refused,
    complaint: said || outage.complaint,
    repeats: said ? repeats : outage.repeats,
    seed,
    delayMs,
  };
}

/** The service refuses only this token, so another one may do. @param {unknown} error @returns {boolean} */
export function refusedToken(error) {
  const { closeCode, closeReason = '' } = LiveError.from(error, 'connection-lost');
  return closeCode !== undefined && /token$/.test(closeMeaning(closeCode, closeReason).kind ?? '');
}

/** An end that the broker decided is an end, not an error. @param {LiveError} error */
export const asEnd = (error) =>
  ENDING_CODES.has(error.code ?? '') ? LiveError.ended(error.detail, error.toJSON()) : error;

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
