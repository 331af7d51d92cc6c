/**
 * Types only: the messages that worklets, page, recorder and network worker exchange about audio.
 * A module that needs one of these shapes takes it from here, so that the folders do not import one another.
 */

/**
 * From the capture worklet to the page. `rms` is the input level since the previous report, 0 to 1. `loudAt` is when
 * the input was last loud, epoch milliseconds; 0 means never. `starved` means that no input arrives.
 * @typedef {{type: 'level', rms: number, loudAt: number} | {type: 'starved'}} CaptureReport
 */
/**
 * From the playback engine. `turn` is the model's turn; `played` counts the turn's samples that were played.
 * `receivedAt` is when the network received the chunk or the interruption, epoch milliseconds.
 * @typedef {{type: 'started', turn: number, receivedAt: number}
 *   | {type: 'drained', turn: number}
 *   | {type: 'underrun', turn: number}
 *   | {type: 'silent', turn: number, receivedAt: number, played: number}
 *   | {type: 'dropped', samples: number}} PlaybackEvent
 */
/**
 * From the playback worklet to the page. `at` is when it happened, epoch milliseconds; `stray` reports a chunk with
 * an odd number of bytes.
 * @typedef {PlaybackEvent & {at: number}
 *   | {type: 'stray'}
 *   | {type: 'meter', rms: number, turn: number, played: number}} PlaybackReport
 */
/**
 * From the audio side of the page to the network. `active`: push-to-talk is pressed or released; null: it is off.
 * `ports` hands over the ports of a worklet that was created again.
 * @typedef {{type: 'mute', muted: boolean}
 *   | {type: 'activity', active: boolean | null}
 *   | {type: 'ports', playback?: MessagePort, capture?: MessagePort}} AudioCommand
 */
/**
 * From a worklet to the recorder. `frame` is the number of the first sample and counts silent samples too. `at` is the
 * time after the last sample, epoch milliseconds.
 * @typedef {{at: number, frame: number, samples: Int16Array<ArrayBuffer>}} RecordedChunk
 */
/** @typedef {'user' | 'model'} Voice */

export {};
