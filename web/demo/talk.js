/**
 * The conversation: starts and ends the library's session and turns its events into what the page shows.
 * Owns: the one LiveSession. Needs: the views. Leaves: words and looks to talk-view.js, errors.js, during.js.
 */
import { LiveSession, TokenSource } from '../live/index.js';
import { Countdown } from '../common/countdown.js';

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

/** What during.js hears of. @type {(keyof import('../live/events.js').LiveEvents)[]} */
const FORWARDED_EVENTS = ['caption', 'toolcall', 'toolresult', 'toolcancel', 'grounding', 'diagnostics', 'network', 'device', 'echo', 'reconnected'];

/** How long the end of a conversation is waited for: a broker that hangs keeps nobody. */
const END_TIMEOUT_MS = 3000;

/** Refusals after which only a new sign-in helps. */
const SIGN_IN_AGAIN = new Set(['missing-credentials', 'invalid-token', 'token-expired']);

export class Conversation {
  #parts;
  #session;
  /** @type {State} */
  #state = 'idle';
  #microphone = true;
  /** Comes with the first start; what happens meanwhile waits for it, in order. */
  #panels = new Lazy(async () => {
    const { LivePanels } = await import('./live-panels.js');
    return new LivePanels(this.#session);
  });
  /** Whether the latest start led to a line. @type {Promise<boolean>} */
  #starting = Promise.resolve(false);
  #countdown = new Countdown();
  /** The last conversation's place is free: with few places the next one would be refused before. @type {Promise<unknown>} */
  #previousEnded = Promise.resolve();
  /** Ticks while a session runs whose end is known. */
  #clock = 0;
  /** The last fault that was shown: the library tells one both as a rejection and as an event. @type {unknown} */
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

  /** For the parts of the page that only people who look for them load. */
  get session() {
    return this.#session;
  }

  get live() {
    return LIVE.has(this.#state);
  }

  /** The last start was without a microphone. */
  get typing() {
    return !this.#microphone;
  }

  /** The panel with the library's figures was opened. */
  openDiagnostics() {
    this.#panels.whenLoaded((panels) => panels.openDiagnostics());
  }

  /** Who talked has signed out: their words go. */
  clearTranscript() {
    this.#panels.whenLoaded((panels) => panels.clearTranscript());
  }

  /** Compiles the audio parts before the first click, which then has less to wait for. */
  async prepare() {
    try {
      await this.#session.prepare();
    } catch {
      // Half-loaded parts would fail the click too; thrown away, they are loaded again by it.
      if (!this.live) await this.#session.end();
    }
  }

  /** Back to the first screen, as after a sign-in. */
  reset() {
    this.#countdown.stop();
    this.#parts.view.showWait(0, null);
    this.#parts.notice.clear();
    this.#show('idle');
    void this.prepare();
  }

  /** The Talk button. From a typed conversation it goes over to a spoken one. */
  async toggle() {
    if (this.#countdown.running) return;
    const spoken = this.live && this.#microphone;
    if (this.live) void this.end(); // not awaited: phones open the microphone only while the tap is being handled
    if (!spoken) await this.start(true);
  }

  /** @param {boolean} microphone @returns {Promise<boolean>} whether the line is up */
  start(microphone) {
    // Not async: whoever writes meanwhile waits for the same promise, and is sent in that order.
    if (!this.live) this.#starting = this.#begin(microphone);
    return this.#starting;
  }

  /** @param {boolean} microphone */
  async #begin(microphone) {
    if (this.#countdown.running) return false;
    this.#parts.notice.clear();
    this.#lastError = null;
    this.#microphone = microphone;
    this.#session.setMuted(false);
    if (!navigator.onLine) {
      this.#fail({ code: 'offline' });
      return false;
    }
    try {
      await Promise.all([this.#session.start({ microphone }), this.#load()]);
      return true;
    } catch (error) {
      this.#fail(error);
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
    const late = new Promise((resolve) => window.setTimeout(resolve, END_TIMEOUT_MS));
    await (this.#previousEnded = Promise.race([this.#session.end(), late]));
  }

  /**
   * Sends a typed message; without a conversation it opens one that needs no microphone.
   * @param {string} text @returns {Promise<boolean>} whether it went out
   */
  async say(text) {
    if (!(await (this.live ? this.#starting : this.start(false)))) return false;
    this.#session.sendText(text);
    return true;
  }

  toggleMute() {
    this.#session.setMuted(!this.#session.muted);
    this.#parts.announcer.say(this.#session.muted ? 'Muted' : 'Unmuted');
    this.#show(this.#state);
  }

  /** Push-to-talk, or an open microphone. @param {boolean} push */
  setPush(push) {
    this.#session.setInputMode(push ? 'push-to-talk' : 'open');
    this.#show(this.#state);
  }

  /** @param {number} share  0..1 */
  setVolume(share) {
    this.#session.setVolume(share);
  }

  /** What the page asks for; the broker decides. */
  #tokenRequest() {
    const profile = this.#parts.view.profile.value;
    return { ...(profile && { profile }), client: { app: 'live-broker-demo' } };
  }

  #listen() {
    const session = this.#session;
    const { announcer, ring } = this.#parts;
    session.addEventListener('statechange', ({ detail }) => this.#change(detail.state, detail.error));
    session.addEventListener('error', ({ detail }) => this.#fail(detail.error));
    session.addEventListener('levels', ({ detail }) => ring.setLevels(session.muted ? 0 : detail.input, detail.output));
    session.addEventListener('sentence', ({ detail }) => {
      if (detail.role === 'model' || this.#microphone) announcer.sentence(detail);
    });
    session.addEventListener('clock', ({ detail }) => this.#runClock(detail.remainingMs));
    for (const type of FORWARDED_EVENTS) session.addEventListener(type, ({ detail }) => this.#panels.whenLoaded((panels) => panels.handle(type, detail)));
  }

  /** @param {number} remainingMs */
  #runClock(remainingMs) {
    window.clearInterval(this.#clock);
    this.#clock = 0;
    if (!Number.isFinite(remainingMs)) return;
    const until = performance.now() + remainingMs;
    const tick = () => this.#parts.view.showClock(Math.max(0, Math.ceil((until - performance.now()) / 1000)));
    this.#clock = window.setInterval(tick, 1000);
    tick();
    if (remainingMs < 61_000) this.#parts.announcer.say('One minute left.');
  }

  /** @param {State} state @param {unknown} [error] */
  #change(state, error) {
    const before = this.#state;
    const cancelled = state === 'ended' && before === 'connecting';
    this.#show(cancelled ? 'idle' : state);
    if (error) this.#fail(error);
    else if (cancelled) this.#parts.announcer.say('Cancelled.');
    else if (state === 'listening' && before === 'connecting') this.#parts.announcer.say('Connected. Go ahead.');
    else if (state === 'ended') this.#parts.announcer.say('Conversation ended.');
  }

  /** @param {unknown} error */
  #fail(error) {
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
    if (explanation.retryAfterSeconds > 0 && explanation.actions.includes('retry')) this.#wait(explanation.retryAfterSeconds);
  }

  /** @param {number} seconds */
  #wait(seconds) {
    const { view, notice, announcer } = this.#parts;
    notice.hold(true);
    this.#countdown.start(seconds, (left, share) => view.showWait(left, share), () => {
      view.showWait(0, null);
      notice.hold(false);
      announcer.say('You can try again now.');
    });
  }

  /** @param {State} state */
  #show(state) {
    this.#state = state;
    const { muted, inputMode, model } = this.#session;
    this.#parts.view.render({ state, microphone: this.#microphone, muted, push: inputMode === 'push-to-talk', video: !!model?.video });
    if (this.live) return;
    window.clearInterval(this.#clock);
    this.#parts.view.showClock(null);
    this.#panels.whenLoaded((panels) => panels.conversationEnded());
  }
}
