/**
 * What a reconnect cost, in one sentence for the transcript.
 */

/** @typedef {import('../live/index.js').LiveEvents} LiveEvents */

export class Reconnects {
  /** The state when the connection broke. @type {string} */
  #broken = '';
  /** All speech dropped so far, now and when the connection broke. */
  #droppedMs = 0;
  #droppedBefore = 0;
  #lastUserText = '';

  /** @param {LiveEvents['statechange']} change */
  state({ state, previous }) {
    if (state === 'connecting') this.#droppedMs = 0;
    if (state !== 'reconnecting') return;
    this.#broken = previous;
    this.#droppedBefore = this.#droppedMs;
  }

  /** @param {LiveEvents['network']} change */
  network({ droppedMs }) {
    this.#droppedMs = droppedMs;
  }

  /** @param {LiveEvents['caption']} caption */
  caption({ role, text }) {
    if (role === 'user') this.#lastUserText = text;
  }

  /** @param {LiveEvents['reconnected']} change */
  sentence({ resumed, seeded, planned }) {
    if (!resumed) {
      return seeded
        ? 'Reconnected. The assistant knows what was said.'
        : 'Reconnected. The assistant no longer knows what was said before.';
    }
    const broken = planned ? '' : this.#broken;
    if (broken === 'speaking') return 'Reconnected. The end of the answer was lost.';
    if (broken === 'waiting') return 'Reconnected. Your question was asked again.';
    if (this.#droppedMs > this.#droppedBefore) return 'Reconnected. Some of your words were lost.';
    // A command of the stand-in, such as /drop, has no answer that could be missing.
    if (broken === 'thinking' && !this.#lastUserText.startsWith('/'))
      return 'Reconnected. If no answer comes, say it again.';
    return 'Reconnected. Nothing was lost.';
  }
}
