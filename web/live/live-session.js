/**
 * LiveSession, the high-level API: a spoken conversation with states and events.
 *
 * Starts and ends the conversation and keeps what stays from one start to the next. Leaves one start to session-run.js.
 * Audio never passes this thread, and nothing here knows how the page looks.
 */
import { AudioIO } from './audio/audio-io.js';
import { Transcript } from './conversation/transcript.js';
import { MediaLoader } from './media/media-loader.js';
import { NetworkClient } from './network/network-client.js';
import { SessionRun } from './session-run.js';
import { Diagnostics } from './shared/diagnostics.js';
import { LiveError, lazyModule } from './shared/errors.js';
import { LiveEventTarget } from './shared/events.js';

/** @typedef {import('./shared/events.js').LiveEvents} LiveEvents */
/** @typedef {import('./shared/events.js').LiveState} LiveState */
/** @typedef {import('./audio/audio-io.js').AudioChoices} AudioChoices */
/**
 * `connect` opens each connection with another client, on the main thread.
 * @typedef {Pick<AudioChoices, 'deviceId' | 'outputDeviceId' | 'inputMode' | 'halfDuplex'>
 *   & import('./session-run.js').RunOptions
 *   & {connect?: import('./network/open-connection.js').Connect}} LiveSessionOptions
 */

export class LiveSession extends LiveEventTarget {
  #options;
  /** @type {LiveState} */
  #state = 'idle';
  /** @type {import('./session-run.js').Parts | null} */
  #parts = null;
  /** @type {SessionRun | null} */
  #run = null;
  #starts = 0;
  /** @type {AudioChoices} */
  #choices;
  /** The figures of the latest start. */
  #diagnostics = new Diagnostics();
  #transcript = new Transcript((sentence) => this.emit('sentence', sentence));
  #mediaLoader = new MediaLoader({
    emit: this.emit.bind(this),
    sendPicture: (bitmap) => this.#run?.client?.post({ type: 'picture', bitmap }, [bitmap]),
    connected: () => !!this.#run?.started && !this.#run.reconnecting,
    audio: () => this.#parts?.audio,
  });

  /** @param {LiveSessionOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    const { deviceId, outputDeviceId, inputMode, halfDuplex } = options;
    this.#choices = { deviceId, outputDeviceId, inputMode, halfDuplex, muted: false, volume: 1 };
  }

  /** The audio devices. Labels are empty until the user has allowed the microphone once. */
  static async devices() {
    return (await lazyModule(import('./audio/devices.js'))).listDevices();
  }

  get state() {
    return this.#state;
  }

  get muted() {
    return this.#choices.muted;
  }

  get inputMode() {
    return this.#parts?.audio.inputMode ?? this.#choices.inputMode ?? 'open';
  }

  /** When the session ends by this device's clock, epoch milliseconds. Infinity: unknown. */
  get endsAt() {
    return this.#run?.endsAt ?? Infinity;
  }

  /** The model of the current conversation and its rules, or null. */
  get model() {
    return this.#run?.conversation.model ?? null;
  }

  /** The turns of all starts, as copies: the newest few thousand. */
  get transcript() {
    return this.#transcript.turns;
  }

  /** The transcript as text, one line per turn. */
  transcriptText() {
    return this.#transcript.text();
  }

  /** The transcript as JSON. */
  transcriptJson() {
    return this.#transcript.json();
  }

  /** A copy of the figures so far. */
  diagnostics() {
    return this.#diagnostics.snapshot();
  }

  /** Starts the worker and compiles the worklets, so that the click has less to wait for. Optional. */
  async prepare() {
    try {
      const { audio, client } = this.#createParts();
      await Promise.all([audio.prepared, client]);
    } catch (cause) {
      // The next start loads the parts again. By then the network may be back.
      if (!this.#run) this.#release(LiveError.aborted());
      throw LiveError.from(cause, 'unsupported');
    }
  }

  /**
   * Call it inside a click. Requests the token and opens microphone and audio in parallel. Resolves when all are up.
   * @param {{microphone?: boolean}} [options] without a microphone the user types and hears the answers
   */
  async start({ microphone = true } = {}) {
    if (this.#run) throw new LiveError({ reason: 'aborted', detail: 'A conversation is running.' });
    this.#starts += 1;
    const run = new SessionRun(this.#options, `start${this.#starts}`, {
      emit: this.emit.bind(this),
      transcript: this.#transcript,
      changed: () => this.#refresh(),
      failed: (error) => this.#fail(error),
    });
    this.#run = run;
    this.#diagnostics = run.diagnostics;
    const { signal } = run;
    const tellNetwork = () => run.client?.post({ type: 'online', online: navigator.onLine });
    globalThis.addEventListener?.('pagehide', () => void this.end(), { signal });
    for (const type of ['online', 'offline']) globalThis.addEventListener?.(type, tellNetwork, { signal });
    this.#setState('connecting');
    try {
      // Up to this await everything happens inside the click. iOS and the autoplay rules require it.
      const parts = this.#createParts();
      parts.audio.resume(microphone);
      await Promise.race([run.stopped, run.start(parts, microphone)]);
    } catch (cause) {
      const error = LiveError.from(cause, 'unsupported');
      if (this.#run === run) this.#fail(error);
      throw error;
    }
    run.started = true;
    this.#refresh();
    this.emit('diagnostics', this.diagnostics());
  }

  /** Sends typed text. It waits for the connection if necessary. Without a conversation it does nothing. @param {string} text */
  sendText(text) {
    this.#run?.diagnostics.typed();
    this.#send({ realtimeInput: { text } }, this.#run?.conversation.addTypedText(text));
  }

  /**
   * Adds turns to the model's context. `turnComplete` asks for an answer and interrupts a current one. Throws a
   * LiveError if the model takes no turns.
   * @param {{turns?: any, turnComplete?: boolean}} content as in the official SDK's `sendClientContent`
   */
  sendContent(content) {
    if (this.model?.content === false) throw unsupported('This model takes no turns.');
    this.#send({ clientContent: content });
  }

  /** Silences the current answer; its rest is neither heard nor captioned, the next one is whole. Functions go on. */
  interrupt() {
    this.#run?.interrupt();
  }

  /** @param {boolean} muted */
  setMuted(muted) {
    this.#choose({ muted });
  }

  /** @param {import('./audio/microphone-gate.js').InputMode} inputMode */
  setInputMode(inputMode) {
    this.#choose({ inputMode });
  }

  /** Push-to-talk: pressed or released. @param {boolean} pressed */
  talk(pressed) {
    if (this.#run) this.#parts?.audio.talk(pressed);
  }

  /** Whether the microphone is off while the model is heard. @param {boolean} halfDuplex */
  setHalfDuplex(halfDuplex) {
    this.#choose({ halfDuplex });
  }

  /** Changes the microphone, even in mid-sentence. Rejects, and keeps the current one, if it cannot be opened. @param {string} [deviceId] */
  async setMicrophone(deviceId) {
    await this.#parts?.audio.setMicrophone(deviceId);
    this.#choices.deviceId = deviceId;
  }

  /** Changes the loudspeaker. '' is the system's own. @param {string} deviceId */
  async setSpeaker(deviceId) {
    await this.#parts?.audio.setSpeaker(deviceId);
    this.#choices.outputDeviceId = deviceId;
  }

  /** Plays a tone of half a second, to check the loudspeaker. Call it inside a click. @param {string} [deviceId] */
  async playTestTone(deviceId = this.#choices.outputDeviceId ?? '') {
    const context = new AudioContext();
    context.resume().catch(() => {}); // now, because after an await it is no longer inside the click
    return (await lazyModule(import('./audio/devices.js'))).playTone(context, deviceId);
  }

  /** @param {number} volume 0 to 1 */
  setVolume(volume) {
    this.#choose({ volume });
  }

  /** Applies choices to this start and to later ones. @param {Partial<AudioChoices>} choices */
  #choose(choices) {
    Object.assign(this.#choices, choices);
    this.#parts?.audio.apply(choices);
  }

  /**
   * Shows the model a camera or a screen: one picture a second while a conversation runs. Call it inside a click.
   * Rejects with a LiveError.
   * @param {import('./media/video-source.js').VideoOptions} [options]
   * @returns {Promise<MediaStream>} for a preview; its tracks change when the camera is switched
   */
  async startVideo(options = {}) {
    if (this.model?.video === false) throw unsupported('This model takes no pictures.');
    if (!globalThis.OffscreenCanvas) throw unsupported('This browser cannot encode pictures.');
    return this.#mediaLoader.startVideo(options, () => this.#run);
  }

  stopVideo() {
    this.#mediaLoader.media?.stopVideo('stopped');
  }

  /** Switches to the next of several cameras. */
  async switchCamera() {
    await this.#mediaLoader.media?.switchCamera();
  }

  get recording() {
    return !!this.#mediaLoader.media?.recording;
  }

  /** Records both voices on this device from now on, across reconnects and later starts. Ask people first. */
  async startRecording() {
    return (await this.#mediaLoader.load()).startRecording();
  }

  /** Also after the end. @returns {Promise<Blob | null>} a WAV, user left, model right; null: nothing was recorded */
  async stopRecording() {
    return this.#mediaLoader.media?.stopRecording() ?? null;
  }

  /**
   * @protected
   * @template {keyof LiveEvents} K @param {K} type @param {LiveEvents[K]} detail
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** In any state: closes the connection, releases microphone and audio, and ends the broker's session. */
  async end() {
    const run = this.#run;
    this.#release(LiveError.aborted());
    if (this.#state !== 'idle') this.#setState('ended');
    await run?.endSession();
  }

  /** @param {Record<string, any>} message @param {number} [typed] the number of a typed text */
  #send(message, typed) {
    if (!this.#run) return;
    this.#parts?.audio.expectSound();
    this.#parts?.client.then((client) => client.post({ type: 'send', message, typed })).catch(() => {});
  }

  #createParts() {
    if (this.#parts) return this.#parts;
    const audio = new AudioIO(this.#choices, {
      emit: this.emit.bind(this),
      post: (command, transfer) => this.#run?.client?.post(command, transfer),
      failed: (error) => this.#fail(error),
    });
    const client = NetworkClient.open(this.#options.connect);
    client.catch(() => {}); // the code that awaits it reports the failure
    this.#parts = { audio, client };
    this.#mediaLoader.media?.recordAudio();
    return this.#parts;
  }

  #refresh() {
    const run = this.#run;
    if (run?.started) this.#setState(run.reconnecting ? 'reconnecting' : run.conversation.state);
  }

  /** @param {LiveError} error */
  #fail(error) {
    const run = this.#run;
    this.#release(error);
    void run?.endSession();
    // A session whose time is up, or that an operator ended, is not an error.
    const ended = run?.started && error.reason === 'session-ended';
    this.#setState(ended ? 'ended' : 'error', error);
    if (!ended) this.emit('error', { error });
  }

  /** @param {LiveError} why a start that is still running rejects with it */
  #release(why) {
    const run = this.#run;
    const parts = this.#parts;
    if (run) this.#mediaLoader.media?.conversationEnded();
    this.#run = null;
    this.#parts = null;
    run?.stop(why);
    parts?.audio.close();
    parts?.client.then((client) => client.close(!!run?.brokerSession)).catch(() => {});
  }

  /** @param {LiveState} state @param {LiveError} [error] */
  #setState(state, error) {
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    this.emit('statechange', { state, previous, error });
  }
}

/** @param {string} detail */
const unsupported = (detail) => new LiveError({ reason: 'unsupported', detail });
