/**
 * The high door: a spoken conversation with states and events.
 *
 * Owns: the order of starting and ending, and the state that the app sees. Composes audio-io.js and network-client.js;
 * hands what is said to conversation.js and figures to diagnostics.js.
 * Leaves: sound (it never passes this thread), the look of things, and what a
 * conversation's line is made of (resilient-connection.js).
 */
import { AudioIO } from './audio/audio-io.js';
import { epochNow } from './shared/clock.js';
import { Conversation } from './conversation/conversation.js';
import { Diagnostics } from './shared/diagnostics.js';
import { LiveError, loaded } from './shared/errors.js';
import { LiveEventTarget } from './shared/events.js';
import { NetworkClient } from './network/network-client.js';
import { OUTPUT_RATE } from './shared/pcm.js';
import { SessionRun } from './session-run.js';
import { Transcript } from './conversation/transcript.js';
import { openVideo } from './media/video-source.js';

/** @typedef {import('./shared/events.js').LiveEvents} LiveEvents */
/** @typedef {import('./shared/events.js').LiveState} LiveState */
/**
 * @typedef {object} OwnOptions
 * @property {import('./network/token-source.js').TokenSource} tokenSource
 * @property {string} [deviceId] of the microphone
 * @property {string} [outputDeviceId] of the loudspeaker, where the browser lets a page choose it
 * @property {import('./audio/microphone-gate.js').InputMode} [inputMode] not given: what the token's setup asks for
 * @property {boolean} [halfDuplex] the microphone rests while the model is heard
 * @property {import('./network/resilient-connection.js').Connect} [connect] opens connections in place of our own, on the main thread
 */
/** @typedef {OwnOptions & import('./conversation/conversation.js').ConversationOptions} LiveSessionOptions */
/** Made before the click, thrown away at the end. @typedef {{audio: AudioIO, link: Promise<NetworkClient>}} Parts */

const NETWORK_EVENTS = ['online', 'offline'];

export class LiveSession extends LiveEventTarget {
  #options;
  /** @type {LiveState} */
  #state = 'idle';
  /** @type {Parts | null} */
  #parts = null;
  /** @type {SessionRun | null} */
  #run = null;
  #starts = 0;
  /** @type {import('./audio/audio-io.js').AudioChoices} */
  #choices;
  #diagnostics = new Diagnostics();
  #transcript = new Transcript((sentence) => this.emit('sentence', sentence));
  /** Comes with the first camera or recording. @type {import('./media/media.js').Media | null} */
  #media = null;
  #leave = () => void this.end();
  #goOnline = () => this.#run?.net?.post({ type: 'online', online: navigator.onLine });

  /** @param {LiveSessionOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    const { deviceId, outputDeviceId, inputMode, halfDuplex } = options;
    this.#choices = { deviceId, outputDeviceId, inputMode, halfDuplex, muted: false, volume: 1 };
  }

  /** What there is to hear and to speak with; labels are empty until the microphone was allowed once. */
  static async devices() {
    return (await loaded(import('./audio/devices.js'))).listDevices();
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

  /** When the session ends by this device's clock, epoch milliseconds; Infinity: not known. */
  get endsAt() {
    return this.#run?.endsAt ?? Infinity;
  }

  /** The model of the running conversation and what it takes, once the broker has told; otherwise null. */
  get model() {
    return this.#run?.conversation?.model ?? null;
  }

  /** What was said and heard, over all starts; the newest some thousand turns, as copies. */
  get transcript() {
    return this.#transcript.turns;
  }

  /** The same as text, a line per turn. */
  transcriptText() {
    return this.#transcript.text();
  }

  /** The same as JSON. */
  transcriptJson() {
    return this.#transcript.json();
  }

  /** The figures so far; a copy. */
  diagnostics() {
    return this.#diagnostics.snapshot();
  }

  /** Starts the worker and compiles the worklets, so that the click has less to wait for. Optional. */
  async prepare() {
    try {
      const { audio, link } = this.#build();
      await Promise.all([audio.prepared, link]);
    } catch (cause) {
      // Parts that did not load would fail the next start too, when the network may be back.
      if (!this.#run) this.#release(LiveError.aborted());
      throw LiveError.from(cause, 'unsupported');
    }
  }

  /**
   * Call it inside a click. Token, microphone and audio start side by side; resolves when all of them are up.
   * @param {{microphone?: boolean}} [options] without a microphone the conversation is typed and heard
   */
  async start({ microphone = true } = {}) {
    if (this.#run) throw new LiveError({ reason: 'aborted', detail: 'A conversation is running already.' });
    this.#starts += 1;
    const diagnostics = new Diagnostics(epochNow());
    const run = new SessionRun(this.#options.tokenSource, diagnostics, {
      emit: this.emit.bind(this),
      audio: () => this.#parts?.audio,
      changed: () => this.#refresh(),
      failed: (error) => this.#fail(error),
    });
    this.#run = run;
    this.#diagnostics = diagnostics;
    this.#setState('connecting');
    try {
      // Up to this await all happens inside the click: only there do iOS and the autoplay rules listen.
      await Promise.race([run.stopped, this.#bringUp(run, microphone)]);
    } catch (cause) {
      const error = LiveError.from(cause, 'unsupported');
      if (this.#run === run) this.#fail(error);
      throw error;
    }
    run.up = true;
    this.#refresh();
    this.#emitDiagnostics();
  }

  /** Says something in writing; waits for the line while it comes up. Without a conversation, nothing. @param {string} text */
  sendText(text) {
    this.#send({ realtimeInput: { text } }, this.#run?.conversation?.typed(text));
  }

  /**
   * Adds turns to what the model knows; `turnComplete` asks for an answer, and interrupts one. Throws a LiveError where
   * the model takes none.
   * @param {{turns?: any, turnComplete?: boolean}} content as the official SDK's `sendClientContent`
   */
  sendContent(content) {
    if (this.model?.content === false) throw unsupported('This model takes no turns in writing.');
    this.#send({ clientContent: content });
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

  /** Whether the microphone rests while the model is heard. @param {boolean} halfDuplex */
  setHalfDuplex(halfDuplex) {
    this.#choose({ halfDuplex });
  }

  /** Another microphone, also in mid-sentence; rejects, and keeps the old one, when it cannot be had. @param {string} [deviceId] */
  async setMicrophone(deviceId) {
    await this.#parts?.audio.setMicrophone(deviceId);
    this.#choices.deviceId = deviceId;
  }

  /** Another loudspeaker; '' is the system's own. @param {string} deviceId */
  async setSpeaker(deviceId) {
    await this.#parts?.audio.setSpeaker(deviceId);
    this.#choices.outputDeviceId = deviceId;
  }

  /** Half a second of tone, to find out whether one is heard. Call it inside a click. @param {string} [deviceId] */
  async playTestTone(deviceId = this.#choices.outputDeviceId ?? '') {
    const context = new AudioContext();
    context.resume().catch(() => {}); // now: after an await it would not be inside the click
    return (await loaded(import('./audio/devices.js'))).playTone(context, deviceId);
  }

  /** @param {number} volume 0..1 */
  setVolume(volume) {
    this.#choose({ volume });
  }

  /** @param {Partial<import('./audio/audio-io.js').AudioChoices>} choice for now and for further starts */
  #choose(choice) {
    Object.assign(this.#choices, choice);
    this.#parts?.audio.apply(choice);
  }

  /**
   * Shows the model what a camera sees, or a screen: one picture a second while a conversation runs. Call it inside a click.
   * Rejects with a LiveError.
   * @param {import('./media/video-source.js').VideoOptions} [options]
   * @returns {Promise<MediaStream>} for a preview; tracks change when the camera is switched
   */
  async startVideo(options = {}) {
    if (this.model?.video === false) throw unsupported('This model does not look at pictures.');
    if (!globalThis.OffscreenCanvas) throw unsupported('This browser cannot pack pictures for the model.');
    const asked = openVideo(options); // at once: a browser shows a screen inside the click only
    asked.catch(() => {}); // told by startVideo()
    const run = this.#run;
    try {
      const media = await this.#withMedia();
      if (run && run !== this.#run) throw LiveError.aborted();
      return await media.startVideo(options, asked);
    } catch (cause) {
      asked.then((stream) => stream.getTracks().forEach((track) => track.stop())).catch(() => {});
      throw cause;
    }
  }

  stopVideo() {
    this.#media?.stopVideo('stopped');
  }

  /** The next of several cameras. */
  async switchCamera() {
    await this.#media?.switchCamera();
  }

  get recording() {
    return !!this.#media?.recording;
  }

  /** Records both voices on this device from now on, also over reconnects and further starts. Ask people first. */
  async startRecording() {
    return (await this.#withMedia()).startRecording();
  }

  /** Also after the end. @returns {Promise<Blob | null>} a WAV, the user on the left, the model on the right; null: nothing was recorded */
  async stopRecording() {
    return this.#media?.stopRecording() ?? null;
  }

  async #withMedia() {
    const { Media } = await loaded(import('./media/media.js'));
    this.#media ??= new Media({
      emit: this.emit.bind(this),
      show: (bitmap) => this.#run?.net?.post({ type: 'picture', bitmap }, [bitmap]),
      connected: () => !!this.#run?.up && !this.#run.reconnecting,
      audio: () => this.#parts?.audio,
    });
    return this.#media;
  }

  /**
   * @protected
   * @template {keyof LiveEvents} K @param {K} type @param {LiveEvents[K]} detail
   */
  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** From any state: closes the connection, gives back microphone, audio contexts and the broker's session. */
  async end() {
    const lease = this.#run?.lease;
    this.#release(LiveError.aborted());
    if (this.#state !== 'idle') this.#setState('ended');
    await this.#giveBack(lease);
  }

  /** @param {import('./network/broker-session.js').BrokerSession | null} [lease] */
  async #giveBack(lease) {
    await Promise.all([lease?.report(this.#diagnostics.report()), lease?.end()]);
  }

  /** @param {Record<string, any>} message @param {number} [typed] which line of what was typed */
  #send(message, typed) {
    if (!this.#run) return;
    this.#parts?.audio.expectSound();
    this.#parts?.link.then((net) => net.post({ type: 'send', message, typed })).catch(() => {});
  }

  /** @returns {Parts} */
  #build() {
    if (this.#parts) return this.#parts;
    const audio = new AudioIO(this.#choices, {
      emit: this.emit.bind(this),
      post: (command, transfer) => this.#run?.net?.post(command, transfer),
      failed: (error) => this.#fail(error),
    });
    const link = NetworkClient.open(this.#options.connect);
    link.catch(() => {}); // told by whoever awaits it
    this.#parts = { audio, link };
    this.#media?.tapAudio();
    return this.#parts;
  }

  /** @param {SessionRun} run @param {boolean} microphone */
  async #bringUp(run, microphone) {
    const parts = this.#build();
    const { audio } = parts;
    audio.resume(microphone);
    run.conversation = this.#converse(run, audio);
    const playback = new MessageChannel();
    const steps = [audio.openSpeaker(playback.port1), run.conversation.prepare()];
    const ports = { playback: playback.port2 };
    if (microphone) {
      const capture = new MessageChannel();
      Object.assign(ports, { capture: capture.port2 });
      steps.push(this.#listen(run, audio, capture.port1));
    }
    steps.push(this.#dial(run, parts, ports));
    await Promise.all(steps);
  }

  /** @param {SessionRun} run @param {AudioIO} audio @param {MessagePort} port */
  async #listen(run, audio, port) {
    audio.oncaptured = (report) => this.#diagnostics.captured(report);
    await audio.openMic(port);
    if (this.#run === run) this.#diagnostics.microphone(audio.settings, epochNow());
  }

  /** @param {SessionRun} run @param {Parts} parts @param {{playback: MessagePort, capture?: MessagePort}} ports */
  async #dial(run, { audio, link }, ports) {
    const [net, plan] = await Promise.all([link, this.#options.tokenSource.describe({ signal: run.signal })]);
    if (run.signal.aborted) return;
    run.join(net, plan);
    const seeded = !!this.#options.history?.length;
    net.post({ type: 'start', plan, ...ports, ...audio.gates, seeded }, Object.values(ports));
    await run.ready;
  }

  /** @param {SessionRun} run @param {AudioIO} audio */
  #converse(run, audio) {
    /** @type {import('./conversation/conversation.js').Surroundings} */
    const surroundings = {
      emit: (type, detail) => {
        if (type === 'caption') audio.caption(/** @type {import('./shared/events.js').Caption} */ (detail));
        this.emit(type, detail);
      },
      send: (/** @type {Record<string, any>} */ message) => run.net?.post({ type: 'send', message }),
      hold: (/** @type {boolean} */ held) => run.net?.post({ type: 'hold', held }),
      lagSamples: () => Math.round(audio.speaker.latencySeconds * OUTPUT_RATE),
      transcript: this.#transcript,
      changed: () => this.#refresh(),
      audible: () => audio.speaker.running,
      diagnostics: this.#diagnostics,
    };
    const conversation = new Conversation(surroundings, this.#options, `start${this.#starts}`);
    audio.onplayed = (report) => {
      conversation.played(report);
      this.#diagnostics.played(report, audio.speaker);
      if (report.type !== 'meter') this.#emitDiagnostics();
    };
    return conversation;
  }

  #refresh() {
    const run = this.#run;
    if (run?.up && run.conversation) this.#setState(run.reconnecting ? 'reconnecting' : run.conversation.state);
  }

  /** @param {LiveError} error */
  #fail(error) {
    const { lease, up } = this.#run ?? {};
    this.#release(error);
    void this.#giveBack(lease);
    // A session that has had its time, or was ended by an operator, is no fault.
    const ended = up && error.reason === 'session-ended';
    this.#setState(ended ? 'ended' : 'error', error);
    if (!ended) this.emit('error', { error });
  }

  /** @param {LiveError} why what a start that is under way rejects with */
  #release(why) {
    const run = this.#run;
    const parts = this.#parts;
    if (run) this.#media?.ended();
    this.#run = null;
    this.#parts = null;
    globalThis.removeEventListener?.('pagehide', this.#leave);
    for (const type of NETWORK_EVENTS) globalThis.removeEventListener?.(type, this.#goOnline);
    run?.stop(why);
    parts?.audio.close();
    parts?.link.then((link) => link.close(!!run?.lease)).catch(() => {});
  }

  /** @param {LiveState} state @param {LiveError} [error] */
  #setState(state, error) {
    const previous = this.#state;
    if (state === previous) return;
    this.#state = state;
    if (state === 'connecting') {
      globalThis.addEventListener?.('pagehide', this.#leave);
      for (const type of NETWORK_EVENTS) globalThis.addEventListener?.(type, this.#goOnline);
    }
    this.emit('statechange', { state, previous, error });
  }

  #emitDiagnostics() {
    this.emit('diagnostics', this.diagnostics());
  }
}

/** @param {string} detail */
const unsupported = (detail) => new LiveError({ reason: 'unsupported', detail });
