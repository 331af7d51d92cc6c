/**
 * Decides whether the service may hear the microphone: mute reasons, push-to-talk and half-duplex in one place.
 * Reports each change to the network. Leaves the microphone itself, and its light, to mic.js.
 */

/** @typedef {'open' | 'push-to-talk'} InputMode */
/** @typedef {'user' | 'system' | 'model'} MuteReason */

/** A room keeps sounding after the loudspeaker has stopped. */
const ROOM_ECHO_MS = 250;

export class MicrophoneGate {
  #post;
  /** @type {Set<MuteReason>} */
  #reasons = new Set();
  /** @type {InputMode} */
  #mode = 'open';
  #pressed = false;
  #modelHeard = false;
  #halfDuplex = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #roomEcho;

  /** @param {(command: import('../shared/audio-messages.js').AudioCommand) => void} post */
  constructor(post) {
    this.#post = post;
  }

  get mode() {
    return this.#mode;
  }

  get muted() {
    return this.#reasons.size > 0;
  }

  /** Whether the user may be heard now. */
  get listening() {
    return !this.muted && (this.#mode === 'open' || this.#pressed);
  }

  /** @param {MuteReason} reason @param {boolean} muted */
  mute(reason, muted) {
    const before = this.muted;
    if (muted) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    if (this.muted !== before) this.#post({ type: 'mute', muted: this.muted });
  }

  /** @param {InputMode} mode */
  setMode(mode) {
    this.#mode = mode;
    this.#pressed = false;
    this.#postActivity();
  }

  /** Push-to-talk: pressed or released. @param {boolean} pressed */
  talk(pressed) {
    if (this.#mode !== 'push-to-talk' || pressed === this.#pressed) return;
    this.#pressed = pressed;
    this.#postActivity();
  }

  /** @param {boolean} on */
  setHalfDuplex(on) {
    this.#halfDuplex = on;
    this.#applyHalfDuplex();
  }

  /** @param {boolean} heard @param {number} latencySeconds from the worklet to the ear */
  modelHeard(heard, latencySeconds) {
    this.#modelHeard = heard;
    clearTimeout(this.#roomEcho);
    if (heard) this.#applyHalfDuplex();
    else this.#roomEcho = setTimeout(() => this.#applyHalfDuplex(), ROOM_ECHO_MS + latencySeconds * 1000);
  }

  stop() {
    clearTimeout(this.#roomEcho);
  }

  #applyHalfDuplex() {
    this.mute('model', this.#halfDuplex && this.#modelHeard);
  }

  #postActivity() {
    this.#post({ type: 'activity', active: this.#mode === 'open' ? null : this.#pressed });
  }
}
