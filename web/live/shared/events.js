/**
 * The events of a LiveSession: their names and what each carries. Owns the names and the base class's type.
 */

/** @typedef {'idle'|'connecting'|'listening'|'thinking'|'speaking'|'reconnecting'|'ended'|'error'} LiveState */
/** @typedef {import('./errors.js').LiveError} LiveError */
/**
 * `text` is the whole turn so far; the same `id` replaces what was shown before.
 * @typedef {object} Caption
 * @property {string} id unique within the LiveSession, also over several starts
 * @property {number} turn counts up from 1 with each start
 * @property {'user'|'model'} role
 * @property {string} text
 * @property {boolean} final nothing will be added
 * @property {boolean} interrupted the user spoke over it; `text` ends about where the sound did
 * @property {number} startedAt epoch milliseconds of the first word
 * @property {number} endedAt and of the last one so far
 * @property {number} [heardSamples] of the model's final turn: how much of its sound (24 kHz) was played
 * @property {string} [language] as the service names it, e.g. `de-DE`
 * @property {true} [typed] not spoken
 */
/** @typedef {{id: string, name: string, ms: number}} ToolEnd `ms` since the call came */
/**
 * @typedef {object} LiveEvents
 * @property {{state: LiveState, previous: LiveState, error?: LiveError}} statechange
 * @property {Caption} caption
 * @property {{input: number, output: number}} levels RMS 0..1, about 20 times a second
 * @property {{kind: 'microphone' | 'speaker', reason: import('../audio/mic.js').DeviceReason, label: string}} device
 * @property {{cause: 'heard' | 'output'}} echo the model interrupts itself, or the chosen loudspeaker is one whose
 *   echo browsers do not cancel: propose headphones or half-duplex
 * @property {{id: string, role: 'user' | 'model', text: string, first: boolean}} sentence finished, and heard; each once
 * @property {{id: string, name: string, args: Record<string, unknown>, blocking: boolean}} toolcall
 * @property {ToolEnd & {ok: boolean}} toolresult
 * @property {ToolEnd & {reason: 'service' | 'connection' | 'ended'}} toolcancel nobody wants its result any more
 * @property {{turn: number, text: string}} thought a summary of what the model thinks; never spoken
 * @property {{turn: number, links: import('./protocol.js').Link[], queries: string[]}} grounding what the model found, and searched for
 * @property {import('../media/camera.js').VideoState} video `reason`: `hidden`, `disconnected`, `ended` by the browser, …
 * @property {{state: 'on' | 'full' | 'off'}} recording `full`: no more is kept, what there is can still be had
 * @property {Record<string, unknown>} usage the service's usageMetadata
 * @property {import('./diagnostics.js').Report} diagnostics
 * @property {{attempt: number, delayMs: number, reason: string}} reconnecting the connection broke; the next try comes
 *   after `delayMs`, `reason` is a sentence
 * @property {{resumed: boolean, seeded: boolean, planned: boolean, gapMs: number}} reconnected the conversation goes on
 *   on another connection: taken up where it was, or anew with the text so far. `planned`: nothing broke, one connection's
 *   time was up. `gapMs`: how long the line was down; what was said in it was kept
 * @property {import('../network/network-session.js').Network} network `silent`: the service owes an
 *   answer. `droppedMs`: speech that could not be sent in time, in all
 * @property {import('../network/network-session.js').Clock} clock the session's end by this device's clock
 *   (epoch milliseconds; Infinity: unknown) at each new connection, when it changes, and a minute before it comes
 * @property {{message: Record<string, any>}} message every server frame, without its audio
 * @property {{error: LiveError}} error
 */

/**
 * @typedef {{
 *   <K extends keyof LiveEvents>(type: K, listener: (event: CustomEvent<LiveEvents[K]>) => void,
 *     options?: boolean | AddEventListenerOptions): void,
 *   (type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void,
 * }} Listen
 */

/** An EventTarget that knows what its events carry; the browser's own in everything else. */
export const LiveEventTarget = /** @type {new () => Omit<EventTarget, 'addEventListener'> & {addEventListener: Listen}} */ (
  /** @type {unknown} */ (EventTarget)
);
