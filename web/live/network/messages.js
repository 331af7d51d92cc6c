/**
 * Types only: the commands that the page sends to the network session, and the reports that come back.
 */

/** @typedef {import('../shared/events.js').NetworkState} NetworkState */
/** @typedef {import('../shared/events.js').SessionClock} SessionClock */
/** @typedef {import('../shared/errors.js').LiveErrorFields} LiveErrorFields */
/**
 * From the page. `typed` is the number of a typed text in this start. `hasHistory`: the first session receives an
 * earlier conversation. `pageEnds`: the page itself ends the broker's session. `interrupt`: the user stops the model,
 * which is heard or not, at this time in epoch milliseconds.
 * @typedef {{type: 'start', plan: import('./token-source.js').TokenPlan, playback: MessagePort, capture?: MessagePort,
 *     muted: boolean, active?: boolean | null, hasHistory?: boolean}
 *   | import('../shared/audio-messages.js').AudioCommand
 *   | {type: 'send', message: Record<string, any>, typed?: number}
 *   | {type: 'hold', held: boolean}
 *   | {type: 'interrupt', heard: boolean, at: number}
 *   | {type: 'picture', bitmap: ImageBitmap}
 *   | {type: 'online', online: boolean}
 *   | {type: 'reply', id: number, value?: any, error?: LiveErrorFields}
 *   | {type: 'stop', pageEnds: boolean}} NetworkCommand
 */
/** @typedef {{message: Record<string, any>, typed?: number}} Outgoing `typed`: the number of a typed text in this start */
/** @typedef {'plan' | 'history' | 'report'} Question the next token's plan, the text so far, the broker's figures */
/**
 * To the page. `at` is epoch milliseconds. The page answers an `ask` with a `reply` of the same id. `stopped`: the user
 * has stopped this turn. `answer`: whether the model's answer is late, and an event.
 * @typedef {{type: 'hello'}
 *   | {type: 'granted', at: number, manual: boolean, session?: {id: string}, model?: string, setup?: Record<string, any>,
 *     terms: import('../shared/events.js').TokenTerms}
 *   | {type: 'opened', at: number}
 *   | {type: 'ready', at: number}
 *   | {type: 'message', message: Record<string, any>, facts: import('../shared/protocol.js').ServerFact[], turn: number,
 *     position: number}
 *   | {type: 'unreadable'}
 *   | {type: 'ask', id: number, what: Question, detail?: any}
 *   | {type: 'stopped', turn: number}
 *   | {type: 'broken', turn: number, position: number, calls: string[]}
 *   | {type: 'reconnecting', attempt: number, delayMs: number, reason: string}
 *   | {type: 'reconnected', resumed: boolean, seeded: boolean, planned: boolean, gapMs: number}
 *   | {type: 'answer', waiting: boolean, event?: 'stalled' | 'emptyturn' | 'contextlost', detail?: object}
 *   | ({type: 'network'} & NetworkState)
 *   | ({type: 'clock'} & SessionClock)
 *   | {type: 'notice', text: string}
 *   | {type: 'warning', code: 'heartbeats-lost'}
 *   | {type: 'failed', error: LiveErrorFields}} NetworkReport
 */

export {};
