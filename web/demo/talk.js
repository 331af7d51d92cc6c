/**
 * Runs the conversation: starts and ends the library's session and turns its events into what the page shows.
 * talk-view.js, errors.js and live-panels.js hold the texts and the layout.
 */

import { Countdown, clockWords } from '../common/countdown.js';
import { LiveSession, TokenSource } from '../live/index.js';

import { explain } from './errors.js';
import { Lazy } from './lazy.js';
import { LIVE } from './talk-view.js';

/** @typedef {import('./talk-view.js').State} State */
/**
 * @typedef {{
 *   api: import('../common/api.js').Api, view: import('./talk-view.js').TalkView, ring: import('./ring.js').Ring,
 *   notice: import('./notice.js').Notice, announcer: import('./announcer.js').Announcer, signedOut: (why: string) => void,
 * }} Parts
 */

/** Events that live-panels.js handles. */
const FORWARDED_EVENTS = /** @type {(keyof import('../live/index.js').LiveEvents)[]} */ (
  `statechange granted message reconnecting stalled emptyturn contextlost error caption toolcall
  toolresult toolcancel grounding diagnostics network device echo reconnected notice`.split(/\s+/)
);

/** The longest wait for the end of a conversation, in case the broker hangs. */
const END_TIMEOUT_MS = 3000;

/** Error codes after which only a new sign-in helps. */
const SIGN_IN_AGAIN = new Set(['missing-credentials', 'invalid-token', 'token-expired']);

export class Conversation {
  #parts;
  #session;
  /** @type {State} */
  #state = 'idle';
  #microphone = true;
  /** Whether the push-to-talk button is held. */
  #held = false;
  /** The browser asks for the microphone. */
  #asking = false;
  /** Loaded with the first start. Events before that wait for it, in order. */
  #panels = new Lazy(async () => {
    const { LivePanels } = await import('./live-panels.js');
    return new LivePanels(this.#session, (held) => this.#pushToTalk(held));
  });
  /** Whether the latest start succeeded. @type {Promise<boolean>} */
  #starting = Promise.resolve(false);
  #countdown = new Countdown();
  /** Resolves when the previous conversation has ended. A token request before that could exceed the user's session limit. @type {Promise<unknown>} */
  #previousEnded = Promise.resolve();
  /** Interval that updates the time left. */
  #clock = 0;
  /** The error shown last. The library reports one error both as a rejection and as an event. @type {unknown} */
  #lastError = null;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#session = new LiveSession({
      tokenSource: TokenSource.endpoint('/token', {
        credentials: 'same-origin',
        headers: async () => {
          await this.#previousEnded;
          return parts.api.csrfHeaders();
        },
        body: () => this.#tokenRequest(),
      }),
      tools: { get_time: async () => (await import('./tools.js')).get_time() },
    });
    this.#listen();
  }

  get state() {
    return this.#state;
  }

  /** For the panels that load on demand. */
  get session() {
    return this.#session;
  }

  get live() {
    return LIVE.has(this.#state);
  }

  /** Whether the last start was without a microphone. */
  get typing() {
    return !this.#microphone;
  }

  /** Fills the diagnostics panel. */
  openDiagnostics() {
    this.#panels.whenLoaded((panels) => panels.openDiagnostics());
  }

  /** Removes the transcript after a sign-out. */
  clearTranscript() {
    this.#panels.whenLoaded((panels) => panels.clearTranscript());
  }

  /** Loads and compiles the audio parts early, so that the first click waits less. */
  async prepare() {
    try {
      await this.#session.prepare();
    } catch {
      // Parts that failed to load would fail the click too. Ending the session drops them, and the click loads them again.
      if (!this.live) await this.#session.end();
    }
  }

  /** Returns to the idle state, as after a sign-in. */
  reset() {
    this.#countdown.stop();
    this.#parts.view.showWait(0, null);
    this.#parts.notice.clear();
    this.#show('idle');
    void this.prepare();
  }

  /** Handles the Talk button. During a typed conversation it starts a spoken one. */
  async toggle() {
    if (this.#countdown.running) return;
    const spoken = this.live && this.#microphone;
    if (this.live) void this.end(); // not awaited: phones allow the microphone only during the tap event
    if (!spoken) await this.start(true);
  }

  /** @param {boolean} microphone @returns {Promise<boolean>} whether it is connected */
  start(microphone) {
    // Not async: messages typed while connecting wait for the same promise and keep their order.
    if (!this.live) this.#starting = this.#begin(microphone);
    return this.#starting;
  }

  /** @param {boolean} microphone */
  async #begin(microphone) {
    if (this.#countdown.running) return false;
    this.#parts.notice.clear();
    this.#lastError = null;
    this.#microphone = microphone;
    this.#asking = false;
    this.#session.setMuted(false);
    try {
      // The panels first: they hear of the very start.
      await Promise.all([this.#load(), this.#session.start({ microphone })]);
      return true;
    } catch (error) {
      this.showError(error);
      return false;
    }
  }

  async #load() {
    try {
      await this.#panels.get();
    } catch (error) {
      void this.end();
      throw error;
    }
  }

  async end() {
    const timeout = new Promise((resolve) => window.setTimeout(resolve, END_TIMEOUT_MS));
    this.#previousEnded = Promise.race([this.#session.end(), timeout]);
    await this.#previousEnded;
  }

  /**
   * Sends a typed message. If no conversation runs, it starts one without a microphone.
   * @param {string} text @returns {Promise<boolean>} whether it was sent
   */
  async say(text) {
    if (!(await (this.live ? this.#starting : this.start(false)))) return false;
    this.#session.sendText(text);
    return true;
  }

  /** Stops the answer that the assistant gives. */
  interrupt() {
    this.#session.interrupt();
  }

  toggleMute() {
    this.#session.setMuted(!this.#session.muted);
    this.#parts.announcer.say(this.#session.muted ? 'Muted' : 'Unmuted');
    this.#show(this.#state);
  }

  /** Switches between push-to-talk and an open microphone. @param {boolean} push */
  setPush(push) {
    this.#session.setInputMode(push ? 'push-to-talk' : 'open');
    if (push) this.#session.setMuted(false); // the button takes the place of Mute
    this.#show(this.#state);
  }

  /** @param {boolean} held */
  #pushToTalk(held) {
    this.#held = held;
    this.#session.talk(held);
    this.#show(this.#state);
  }

  /** Whether the microphone's sound is sent. */
  get #heard() {
    return !this.#session.muted && (this.#session.inputMode === 'open' || this.#held);
  }

  /** @param {number} share  0..1 */
  setVolume(share) {
    this.#session.setVolume(share);
  }

  /** The body of `POST /token`. */
  #tokenRequest() {
    const profile = this.#parts.view.profile.value;
    return { ...(profile && { profile }), client: { app: 'live-broker-demo' } };
  }

  #listen() {
    const session = this.#session;
    const { announcer, ring } = this.#parts;
    session.addEventListener('statechange', ({ detail }) => this.#change(detail.state, detail.error));
    session.addEventListener('error', ({ detail }) => this.showError(detail.error));
    session.addEventListener('levels', ({ detail }) => ring.setLevels(this.#heard ? detail.input : 0, detail.output));
    session.addEventListener('sentence', ({ detail }) => {
      if (detail.role === 'model' || this.#microphone) announcer.sentence(detail);
    });
    session.addEventListener('device', ({ detail: { reason } }) => this.#ask(reason === 'asking'));
    session.addEventListener('clock', ({ detail }) => this.#runClock(detail.remainingMs));
    for (const type of FORWARDED_EVENTS)
      session.addEventListener(type, ({ detail }) => {
        const at = Date.now();
        this.#panels.whenLoaded((panels) => panels.handle(type, detail, at));
      });
  }

  /** The browser asks for the microphone, or no longer. @param {boolean} asking */
  #ask(asking) {
    this.#asking = asking;
    if (this.#state !== 'connecting') return;
    this.#show(this.#state);
    if (asking) this.#parts.announcer.say('Allow the microphone in your browser.');
  }

  /** @param {number} remainingMs */
  #runClock(remainingMs) {
    window.clearInterval(this.#clock);
    this.#clock = 0;
    if (!Number.isFinite(remainingMs)) return;
    const until = Date.now() + remainingMs; // it goes on while the device sleeps
    const tick = () => this.#parts.view.showClock(Math.max(0, Math.ceil((until - Date.now()) / 1000)));
    this.#clock = window.setInterval(tick, 1000);
    tick();
    if (remainingMs < 61_000) this.#parts.announcer.say('One minute left.');
  }

  /** @param {State} state @param {unknown} [error] */
  #change(state, error) {
    const before = this.#state;
    const cancelled = state === 'ended' && before === 'connecting';
    this.#show(cancelled ? 'idle' : state);
    if (error) this.showError(error);
    else if (cancelled) this.#parts.announcer.say('Cancelled.');
    else if (state === 'listening' && before === 'connecting') this.#parts.announcer.say('Connected. Go ahead.');
    else if (state === 'ended') this.#parts.announcer.say('Conversation ended.');
  }

  /** Shows an error, and the wait before the next start if it has one. @param {unknown} error */
  showError(error) {
    if (error === this.#lastError) return;
    this.#lastError = error;
    const explanation = explain(error);
    if (explanation.code === 'aborted') return; // the person pressed Cancel
    if (SIGN_IN_AGAIN.has(explanation.code)) {
      this.#parts.signedOut(explanation.detail);
      return;
    }
    this.#parts.notice.show(explanation);
    if (!this.live || this.#session.state === 'error') this.#show(this.#session.state === 'ended' ? 'ended' : 'error');
    if (explanation.retryAfterSeconds > 0 && explanation.actions.includes('retry'))
      this.#wait(explanation.retryAfterSeconds);
  }

  /** @param {number} seconds */
  #wait(seconds) {
    const { view, notice, announcer } = this.#parts;
    announcer.say(`You can start again in ${clockWords(seconds)}.`);
    this.#countdown.start(
      seconds,
      (left, share) => {
        view.showWait(left, share);
        notice.hold(left);
      },
      () => {
        view.showWait(0, null);
        notice.hold(0);
        announcer.say('You can try again now.');
      },
    );
  }

  /** @param {State} state */
  #show(state) {
    this.#state = state;
    const { muted, inputMode, model } = this.#session;
    this.#parts.view.render({
      state,
      microphone: this.#microphone,
      muted,
      push: inputMode === 'push-to-talk',
      held: this.#held,
      asking: this.#asking,
      video: !!model?.video,
    });
    if (this.live) return;
    window.clearInterval(this.#clock);
    this.#parts.view.showClock(null);
    this.#panels.whenLoaded((panels) => panels.conversationEnded());
  }
}
