/**
 * Decides whether the service hears the user, and marks the start and the end of speech: mute and push-to-talk.
 * Leaves the queue of audio to send-queue.js, which keeps the marks in order.
 */

/** The microphone stays open this long after push-to-talk is released, for the last syllable. */
const RELEASE_MS = 120;

export class SpeechActivity {
  #queue;
  #send;
  #muted = false;
  /** Push-to-talk: pressed or not; null: it is off. @type {boolean | null} */
  #pressed = null;
  /** The page has chosen whether push-to-talk is on. Otherwise the setup decides. */
  #chosen = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #releasing;
  /** The setup switches automatic detection off, so the client marks the speech. */
  manual = false;
  /** A marked speech is open. */
  open = false;

  /**
   * @param {import('./send-queue.js').SendQueue} queue
   * @param {(realtimeInput: Record<string, any>, expectsReply: boolean) => void} send
   */
  constructor(queue, send) {
    this.#queue = queue;
    this.#send = send;
  }

  /** @param {boolean} muted @param {boolean | null} [active] */
  start(muted, active) {
    this.#muted = muted;
    this.#chosen = active !== undefined;
    this.#pressed = active ?? null;
    this.#update();
  }

  /** The token is granted. @param {Record<string, any>} [setup] */
  granted(setup) {
    this.manual = !!setup?.realtimeInputConfig?.automaticActivityDetection?.disabled;
    if (!this.manual || this.#chosen) return;
    this.#pressed = false;
    this.#update();
    this.#queue.clear(); // audio so far was not meant for the service
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.#muted = muted;
    this.#update();
  }

  /** @param {boolean | null} pressed */
  setPressed(pressed) {
    this.#chosen = true;
    clearTimeout(this.#releasing);
    const apply = () => {
      this.#pressed = pressed;
      this.#update();
    };
    if (pressed === false && this.#pressed) this.#releasing = setTimeout(apply, RELEASE_MS);
    else apply();
  }

  /** Sends a mark of the queue. A paused stream exists only with automatic detection. @param {boolean} open */
  mark(open) {
    if (!this.manual) {
      if (!open) this.#send({ audioStreamEnd: true }, false);
    } else if (open !== this.open) {
      this.open = open;
      this.#send(open ? { activityStart: {} } : { activityEnd: {} }, !open);
    }
  }

  stop() {
    clearTimeout(this.#releasing);
  }

  #update() {
    this.#queue.mute(this.#muted || this.#pressed === false);
  }
}
