/**
 * Who may be heard: every reason to keep the microphone from the service, in one place. Owns: the gate, push-to-talk
 * and half-duplex. Needs nothing: it tells the network side. Leaves the microphone itself, and its light, to mic.js.
 */

/** @typedef {'open' | 'push-to-talk'} InputMode */
/** @typedef {'user' | 'system' | 'model'} GateReason */

/** A room goes on sounding when the loudspeaker is done. */
const TAIL_MS = 250;

export class MicrophoneGate {
  #post;
  /** @type {Set<GateReason>} */
  #reasons = new Set();
  /** @type {InputMode} */
  #mode = 'open';
  #pressed = false;
  #speaking = false;
  #halfDuplex = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #tail;

  /** @param {(command: import('../network/network-session.js').NetworkCommand) => void} post */
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

  /** @param {GateReason} reason @param {boolean} shut */
  gate(reason, shut) {
    const before = this.muted;
    if (shut) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    if (this.muted !== before) this.#post({ type: 'mute', muted: this.muted });
  }

  /** @param {InputMode} mode */
  setMode(mode) {
    this.#mode = mode;
    this.#pressed = false;
    this.#tellActivity();
  }

  /** Push-to-talk: pressed or released. @param {boolean} pressed */
  talk(pressed) {
    if (this.#mode !== 'push-to-talk' || pressed === this.#pressed) return;
    this.#pressed = pressed;
    this.#tellActivity();
  }

  /** @param {boolean} on */
  setHalfDuplex(on) {
    this.#halfDuplex = on;
    this.#follow();
  }

  /** Whether the model is being heard. @param {boolean} speaking @param {number} latencySeconds until the ear */
  modelHeard(speaking, latencySeconds) {
    this.#speaking = speaking;
    clearTimeout(this.#tail);
    if (speaking) this.#follow();
    else this.#tail = setTimeout(() => this.#follow(), TAIL_MS + latencySeconds * 1000);
  }

  stop() {
    clearTimeout(this.#tail);
  }

  #follow() {
    this.gate('model', this.#halfDuplex && this.#speaking);
  }

  #tellActivity() {
    this.#post({ type: 'activity', active: this.#mode === 'open' ? null : this.#pressed });
  }
}
