/**
 * The events of a LiveSession: their names and the fields of each. README.md lists them for callers.
 */

/** @typedef {'idle'|'connecting'|'listening'|'thinking'|'waiting'|'speaking'|'reconnecting'|'ended'|'error'} LiveState */
/** @typedef {import('./errors.js').LiveError} LiveError */
/**
 * `text` is the whole turn so far. A caption replaces the previous one with the same `id`.
 * @typedef {object} Caption
 * @property {string} id unique within the LiveSession, across all its starts
 * @property {number} turn starts at 1 with each start
 * @property {'user'|'model'} role
 * @property {string} text
 * @property {boolean} final no text will be added
 * @property {boolean} interrupted the user spoke over it; `text` ends about where the audio ended
 * @property {number} startedAt epoch milliseconds of the first word
 * @property {number} endedAt epoch milliseconds of the latest word
 * @property {number} [heardSamples] of a final turn of the model: how many samples (24 kHz) were played
 * @property {string} [language] as the service names it, e.g. `de-DE`
 * @property {true} [typed] not spoken
 * @property {string} [speaker] the service's label of the voice, e.g. `spk_1`
 * @property {number} [startMs] of the user's first word, from the start of the audio as the service counts it
 * @property {number} [endMs] of the user's latest word
 * @property {import('./heard.js').Word[]} [words] the user's words with their times
 */
/** @typedef {{id: string, name: string, ms: number}} ToolEnd `ms` since the call */
/**
 * `asking`: the browser asks for the microphone and nobody answers; nothing is charged meanwhile. `silent`: an open
 * microphone has given nothing but zeros for ten seconds.
 * @typedef {'asking' | 'silent' | 'lost' | 'changed' | 'interrupted' | 'resumed' | 'muted-by-system'
 *   | 'unmuted-by-system'} DeviceReason
 */
/** @typedef {{state: 'on' | 'paused' | 'off' | 'denied', source: 'camera' | 'screen', reason?: string}} VideoState */
/** @typedef {{state: 'ok' | 'slow' | 'offline' | 'silent', droppedMs: number}} NetworkState */
/**
 * What the library does about a missing answer: asks again, resumes the session on another connection, opens a new one
 * with the text so far, or ends the conversation. `none`: nothing, because it would not help.
 * @typedef {'nudge' | 'resume' | 'restart' | 'end' | 'none'} AnswerStep
 */
/** @typedef {{endsAt: number, remainingMs: number, renewedAt: number}} SessionClock */
/**
 * The broker's answer without the token. A member that the answer lacks is undefined.
 * @typedef {{profile?: string, model?: string, locked?: string[], limits?: Record<string, any>,
 *   expires_in?: number, connect_within?: number}} TokenTerms
 */
/**
 * @typedef {object} LiveEvents
 * @property {{state: LiveState, previous: LiveState, error?: LiveError}} statechange
 * @property {TokenTerms} granted the first token of a start was granted
 * @property {Caption} caption
 * @property {{input: number, output: number}} levels RMS 0 to 1, about 20 times a second
 * @property {{kind: 'microphone' | 'speaker', reason: DeviceReason, label: string}} device
 * @property {{cause: 'heard' | 'output'}} echo `heard`: the model interrupts itself. `output`: browsers do not cancel
 *   the echo of the chosen loudspeaker. Suggest headphones or half-duplex
 * @property {{id: string, role: 'user' | 'model', text: string, first: boolean}} sentence finished and heard; comes once
 * @property {{id: string, name: string, args: Record<string, unknown>, blocking: boolean}} toolcall
 * @property {ToolEnd & {ok: boolean}} toolresult
 * @property {ToolEnd & {reason: 'service' | 'connection' | 'ended'}} toolcancel the result is no longer needed
 * @property {{turn: number, text: string}} thought a summary of the model's thoughts; never spoken
 * @property {{turn: number, links: import('./sources.js').Link[], queries: string[]}} grounding sources and search terms
 * @property {VideoState} video `reason`: `hidden`, `disconnected`, `ended` (by the browser), …
 * @property {{state: 'on' | 'full' | 'off'}} recording `full`: recording has stopped; the recording so far is kept
 * @property {Record<string, any> & {counts: import('./token-counter.js').TokenCounts | null}} usage the service's
 *   usageMetadata, and `counts`: the tokens of the turn and of this start, by direction and modality
 * @property {import('./diagnostics.js').Report} diagnostics
 * @property {{attempt: number, delayMs: number, reason: string}} reconnecting the connection broke. The next attempt
 *   starts after `delayMs`; `reason` is a sentence
 * @property {{resumed: boolean, seeded: boolean, planned: boolean, gapMs: number}} reconnected the conversation
 *   continues on another connection. `resumed`: the service continued it. `seeded`: a new session received the text so
 *   far. `planned`: nothing broke, the connection's time was up. `gapMs`: the time without a connection; speech was kept
 * @property {{step: AnswerStep, waitedMs: number}} stalled the model has been silent for too long after the user's turn.
 *   Comes with each step until it answers; `waitedMs` since the question
 * @property {{reason: string, detail: string, step: AnswerStep}} emptyturn the model ended its turn without an answer.
 *   `reason`: as the service names it, or ''; `detail`: a sentence
 * @property {{seeded: boolean}} contextlost a resumed session has forgotten the conversation. `seeded`: it has received the
 *   text so far again
 * @property {NetworkState} network `silent`: the service owes an answer. `droppedMs`: all speech so far that could not be
 *   sent in time
 * @property {SessionClock} clock the session's end by this device's clock (epoch milliseconds; Infinity: unknown). Comes
 *   with each connection, when the end changes, and a minute before the end
 * @property {{text: string}} notice the operators have a message for everybody who talks
 * @property {{message: Record<string, any>}} message every server frame without its audio
 * @property {{error: LiveError}} error
 */

/**
 * @typedef {{
 *   <K extends keyof LiveEvents>(type: K, listener: (event: CustomEvent<LiveEvents[K]>) => void,
 *     options?: boolean | AddEventListenerOptions): void,
 *   (type: string, listener: EventListenerOrEventListenerObject | null,
 *     options?: boolean | AddEventListenerOptions): void,
 * }} Listen
 */
/** @typedef {<K extends keyof LiveEvents>(type: K, detail: LiveEvents[K]) => void} Emit */

/** The browser's EventTarget, with typed events. */
export const LiveEventTarget =
  /** @type {new () => Omit<EventTarget, 'addEventListener'> & {addEventListener: Listen}} */ (
    /** @type {unknown} */ (EventTarget)
  );
