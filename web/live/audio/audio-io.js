/**
 * The audio side of a conversation: microphone, loudspeaker, who may be heard, what the devices do.
 *
 * Owns: one Mic and one Speaker, and every rule between them. Needs mic.js, speaker.js, microphone-gate.js,
 * echo-detector.js, wake-lock.js. Leaves the line to network-session.js, whose commands it posts, and the words to conversation.js.
 */
import { LiveError } from '../shared/errors.js';
import { Mic } from './mic.js';
import { Speaker } from './speaker.js';
import { MicrophoneGate } from './microphone-gate.js';
import { WakeLock } from './wake-lock.js';

/** @typedef {import('../shared/events.js').LiveEvents} LiveEvents */
/** @typedef {import('./speaker.js').PlaybackReport} PlaybackReport */
/**
 * What stays from one start to the next.
 * @typedef {object} AudioChoices
 * @property {string} [deviceId] of the microphone
 * @property {string} [outputDeviceId] of the loudspeaker, where a page may choose it
 * @property {import('./microphone-gate.js').InputMode} [inputMode] not given: what the token's setup asks for
 * @property {boolean} [halfDuplex] the microphone rests while the model is heard
 * @property {boolean} muted by the user
 * @property {number} volume 0..1
 */
/**
 * @typedef {object} AudioSurroundings
 * @property {<K extends keyof LiveEvents>(type: K, detail: LiveEvents[K]) => void} emit
 * @property {(command: import('../network/network-session.js').NetworkCommand, transfer?: Transferable[]) => void} post dropped before the line is dialled
 * @property {(error: LiveError) => void} failed
 */

/** Somebody speaks, probably: an answer will come. */
const LOUD = 0.02;

export class AudioIO {
  #out;
  #choices;
  #mic = new Mic();
  #speaker = new Speaker();
  #turns;
  /** Comes with the first interruption. @type {import('./echo-detector.js').EchoDetector | null} */
  #echo = null;
  #lock = new WakeLock();
  #input = 0;
  /** @type {((voice: 'user' | 'model') => MessagePort) | null} */
  #tap = null;
  /** @type {(report: PlaybackReport) => void} */
  onplayed = () => {};
  /** @type {(report: import('./mic.js').CaptureReport) => void} */
  oncaptured = () => {};

  /** @param {AudioChoices} choices read again whenever they matter @param {AudioSurroundings} out */
  constructor(choices, out) {
    this.#choices = choices;
    this.#out = out;
    this.#turns = new MicrophoneGate((command) => {
      out.post(command);
      if (this.#tap) this.#tapUser();
    });
    const [mic, speaker] = [this.#mic, this.#speaker];
    mic.onreport = (report) => this.#captured(report);
    mic.onlost = speaker.onlost = out.failed;
    mic.onport = (capture) => out.post({ type: 'ports', capture }, [capture]);
    mic.ondevice = (reason) => {
      // The system has taken the microphone, for a call perhaps: a pause, not an end.
      if (reason === 'muted-by-system' || reason === 'unmuted-by-system') {
        this.#turns.gate('system', reason === 'muted-by-system');
      }
      out.emit('device', { kind: 'microphone', reason, label: mic.label });
    };
    speaker.onreport = (report) => this.#played(report);
    speaker.onport = (playback) => out.post({ type: 'ports', playback }, [playback]);
    speaker.ondevice = (reason) => out.emit('device', { kind: 'speaker', reason, label: '' });
    this.apply(choices);
    globalThis.navigator?.mediaDevices?.addEventListener?.('devicechange', this.#devicesChanged);
  }

  /** Resolves when the worklets are compiled. */
  get prepared() {
    return Promise.all([this.#mic.prepared, this.#speaker.prepared]);
  }

  /** For diagnostics. */
  get speaker() {
    return this.#speaker;
  }

  get settings() {
    return this.#mic.settings;
  }

  get inputMode() {
    return this.#turns.mode;
  }

  /** What keeps the microphone from the line now, for its start. @returns {{muted: boolean, active?: boolean | null}} */
  get gates() {
    const { muted, mode } = this.#turns;
    // Not chosen: the setup decides, before the first sound could go out.
    return this.#choices.inputMode ? { muted, active: mode === 'open' ? null : false } : { muted };
  }

  /**
   * Everything that a browser allows in a click only. iOS turns the sound down when capture begins, so that goes first.
   * @param {boolean} microphone
   */
  resume(microphone) {
    if (microphone) this.#mic.resume();
    this.#speaker.resume();
    this.#lock.hold();
  }

  /** Sound is about to come: the loudspeaker may have been resting. */
  expectSound() {
    this.#speaker.resume();
  }

  /** @param {MessagePort} port */
  async openSpeaker(port) {
    const { outputDeviceId } = this.#choices;
    const opened = this.#speaker.open(port);
    // A device that is gone is no reason not to talk: the system's own plays then.
    if (outputDeviceId) await this.setSpeaker(outputDeviceId).catch(() => this.#lostSpeaker());
    await opened;
  }

  /** @param {MessagePort} port */
  async openMic(port) {
    await this.#mic.open(port, this.#choices.deviceId);
  }

  /** The token is granted. @param {boolean} manual its setup leaves it to us to say when the user speaks */
  granted(manual) {
    if (manual && !this.#choices.inputMode) this.#turns.setMode('push-to-talk');
  }

  /** What has been chosen, at the start or now. @param {Partial<AudioChoices>} choice */
  apply({ muted, volume, inputMode, halfDuplex }) {
    if (muted !== undefined) {
      this.#mic.setMuted(muted);
      this.#turns.gate('user', muted);
    }
    if (volume !== undefined) this.#speaker.setVolume(volume);
    if (inputMode) this.#turns.setMode(inputMode);
    if (halfDuplex !== undefined) this.#turns.setHalfDuplex(halfDuplex);
  }

  /** @param {boolean} pressed */
  talk(pressed) {
    this.expectSound();
    this.#turns.talk(pressed);
  }

  /** @param {string | undefined} deviceId */
  setMicrophone(deviceId) {
    return this.#mic.choose(deviceId);
  }

  /** @param {string} deviceId */
  async setSpeaker(deviceId) {
    try {
      await this.#speaker.setSink(deviceId);
    } catch (cause) {
      throw LiveError.from(cause, 'unsupported');
    }
    // Chromium cancels the echo of the system's own loudspeaker only.
    if (deviceId && deviceId !== 'default') this.#out.emit('echo', { cause: 'output' });
  }

  /** Where a recorder takes the voices from; null: nowhere. @param {((voice: 'user' | 'model') => MessagePort) | null} tap */
  tap(tap) {
    this.#tap = tap;
    this.#tapUser();
    this.#speaker.tap(tap && (() => tap('model')));
  }

  /** What may not be heard may not be recorded either. */
  #tapUser() {
    const tap = this.#turns.listening ? this.#tap : null;
    this.#mic.tap(tap && (() => tap('user')));
  }

  /** @param {import('../shared/events.js').Caption} caption */
  caption(caption) {
    this.#echo?.caption(caption);
  }

  close() {
    globalThis.navigator?.mediaDevices?.removeEventListener?.('devicechange', this.#devicesChanged);
    this.#turns.stop();
    this.#lock.release();
    this.#mic.close();
    this.#speaker.close();
  }

  /** @param {import('./mic.js').CaptureReport} report */
  #captured(report) {
    if (report.type === 'level') {
      this.#input = report.rms;
      if (report.rms > LOUD) this.expectSound();
      if (this.#speaker.resting) this.#out.emit('levels', { input: report.rms, output: 0 });
    }
    this.oncaptured(report);
  }

  /** @param {PlaybackReport} report */
  #played(report) {
    if (report.type === 'meter') {
      this.#echo?.levels(this.#input, report.rms);
      this.#out.emit('levels', { input: this.#input, output: report.rms });
    } else if (report.type === 'started') {
      this.#echo?.started();
      this.#turns.modelHeard(true, 0);
    } else if (report.type === 'drained' || report.type === 'silent') {
      if (report.type === 'silent' && report.played > 0) void this.#interrupted();
      this.#turns.modelHeard(false, this.#speaker.latencySeconds);
    }
    this.onplayed(report);
  }

  /** The model was cut off while it was heard. Without the guard, which comes with the first time, nobody is warned. */
  async #interrupted() {
    if (this.#echo) return this.#echo.interrupted();
    const { EchoDetector } = await import('./echo-detector.js').catch(() => ({ EchoDetector: null }));
    if (EchoDetector) this.#echo ??= new EchoDetector(() => this.#out.emit('echo', { cause: 'heard' }));
  }

  #devicesChanged = async () => {
    const { sink } = this.#speaker;
    if (!sink || sink === 'default') return;
    const devices = await navigator.mediaDevices.enumerateDevices();
    if (!devices.some(({ kind, deviceId }) => kind === 'audiooutput' && deviceId === sink)) await this.#lostSpeaker();
  };

  async #lostSpeaker() {
    await this.#speaker.setSink('').catch(() => {});
    this.#out.emit('device', { kind: 'speaker', reason: 'lost', label: '' });
  }
}
