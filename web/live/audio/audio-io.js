/**
 * The audio devices of a session: microphone, loudspeaker, and the rules between them.
 * Leaves the connection to the network, to which it posts commands, and the words to the conversation.
 */
import { LiveError } from '../shared/errors.js';
import { LOUD_RMS, METER_HZ } from '../shared/pcm.js';
import { Mic } from './mic.js';
import { MicrophoneGate } from './microphone-gate.js';
import { Speaker } from './speaker.js';
import { WakeLock } from './wake-lock.js';

/** @typedef {import('../shared/audio-messages.js').PlaybackReport} PlaybackReport */
/** @typedef {import('../shared/audio-messages.js').CaptureReport} CaptureReport */
/** @typedef {import('../shared/audio-messages.js').Voice} Voice */
/**
 * The choices that stay from one start to the next.
 * @typedef {object} AudioChoices
 * @property {string} [deviceId] of the microphone
 * @property {string} [outputDeviceId] of the loudspeaker, where a page may choose it
 * @property {import('./microphone-gate.js').InputMode} [inputMode] without it the token's setup decides
 * @property {boolean} [halfDuplex] the microphone is off while the model is heard
 * @property {boolean} muted by the user
 * @property {number} volume 0 to 1
 */
/**
 * @typedef {object} AudioHost
 * @property {import('../shared/events.js').Emit} emit
 * @property {(command: import('../shared/audio-messages.js').AudioCommand, transfer?: Transferable[]) => void} post
 *   dropped before the network is started
 * @property {(error: LiveError) => void} failed
 */

/** Ten seconds of levels. */
const ZEROS = 10 * METER_HZ;

export class AudioIO {
  #host;
  #choices;
  #mic = new Mic();
  #speaker = new Speaker();
  #gate;
  /** Loads with the first interruption. @type {import('./echo-detector.js').EchoDetector | null} */
  #echoDetector = null;
  #wakeLock = new WakeLock();
  #inputLevel = 0;
  /** Levels in a row that were exactly zero. */
  #zeros = 0;
  /** The user has stopped the model, so the interruption that follows is no echo. */
  #stopped = false;
  /** @type {((voice: Voice) => MessagePort) | null} */
  #recordTo = null;
  /** @type {(report: PlaybackReport) => void} */
  onplayed = () => {};
  /** @type {(report: CaptureReport) => void} */
  oncapture = () => {};

  /** @param {AudioChoices} choices read again when they are needed @param {AudioHost} host */
  constructor(choices, host) {
    this.#choices = choices;
    this.#host = host;
    this.#gate = new MicrophoneGate((command) => {
      host.post(command);
      if (this.#recordTo) this.#recordUser();
    });
    const [mic, speaker] = [this.#mic, this.#speaker];
    mic.onreport = (report) => this.#onCapture(report);
    mic.onlost = speaker.onlost = host.failed;
    mic.onport = (capture) => host.post({ type: 'ports', capture }, [capture]);
    mic.ondevice = (reason) => {
      // The system has taken the microphone, perhaps for a call: a pause, not an end.
      if (reason === 'muted-by-system' || reason === 'unmuted-by-system') {
        this.#gate.mute('system', reason === 'muted-by-system');
      }
      this.#tellDevice(reason);
    };
    speaker.onreport = (report) => this.#onPlayback(report);
    speaker.onport = (playback) => host.post({ type: 'ports', playback }, [playback]);
    speaker.ondevice = (reason) => host.emit('device', { kind: 'speaker', reason, label: '' });
    this.apply(choices);
    const { signal } = speaker;
    globalThis.navigator?.mediaDevices?.addEventListener?.('devicechange', this.#onDevicesChanged, { signal });
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
    return this.#gate.mode;
  }

  /** Whether the microphone is off now, for the start of the network. @returns {{muted: boolean, active?: boolean | null}} */
  get gateState() {
    const { muted, mode } = this.#gate;
    // Without a choice the setup decides, before any audio can be sent.
    return this.#choices.inputMode ? { muted, active: mode === 'open' ? null : false } : { muted };
  }

  /**
   * Starts everything that a browser allows only inside a click. iOS lowers the volume when capture begins, so capture
   * goes first.
   * @param {boolean} microphone
   */
  resume(microphone) {
    if (microphone) this.#mic.resume();
    this.#speaker.resume();
    this.#wakeLock.hold();
  }

  /** The user stops the model. */
  stopped() {
    this.#stopped = true;
  }

  /** Audio will come soon: wakes a suspended loudspeaker. */
  expectSound() {
    this.#speaker.resume();
  }

  /** Nothing will be heard: closes the loudspeaker. @param {MessagePort} port the worklet's, which stays unused */
  withoutSpeaker(port) {
    port.close();
    this.#speaker.close();
  }

  /** @param {MessagePort} port */
  async openSpeaker(port) {
    const { outputDeviceId } = this.#choices;
    const opened = this.#speaker.open(port);
    // A missing device is no reason not to talk: the system's own loudspeaker plays instead.
    if (outputDeviceId) await this.setSpeaker(outputDeviceId).catch(() => this.#speaker.useSystem());
    await opened;
  }

  /** @param {MessagePort} port */
  async openMic(port) {
    await this.#mic.open(port, this.#choices.deviceId);
  }

  /** Resolves when the browser does not ask for the microphone, or no longer. Rejects when it stays closed. */
  permitted() {
    return this.#mic.permitted();
  }

  /** The token is granted. @param {boolean} manual its setup switches the detection of speech off */
  granted(manual) {
    if (manual && !this.#choices.inputMode) this.#gate.setMode('push-to-talk');
  }

  /** Applies choices, at the start or later. @param {Partial<AudioChoices>} choices */
  apply({ muted, volume, inputMode, halfDuplex }) {
    if (muted !== undefined) {
      this.#mic.setMuted(muted);
      this.#gate.mute('user', muted);
    }
    if (volume !== undefined) this.#speaker.setVolume(volume);
    if (inputMode) this.#gate.setMode(inputMode);
    if (halfDuplex !== undefined) this.#gate.setHalfDuplex(halfDuplex);
  }

  /** @param {boolean} pressed */
  talk(pressed) {
    this.expectSound();
    this.#gate.talk(pressed);
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
    if (deviceId && deviceId !== 'default') this.#host.emit('echo', { cause: 'output' });
  }

  /** Sends both voices to a recorder. @param {((voice: Voice) => MessagePort) | null} recordTo null: stop */
  record(recordTo) {
    this.#recordTo = recordTo;
    this.#recordUser();
    this.#speaker.record(recordTo && (() => recordTo('model')));
  }

  /** The user is recorded only while the microphone is open. */
  #recordUser() {
    const recordTo = this.#gate.listening ? this.#recordTo : null;
    this.#mic.record(recordTo && (() => recordTo('user')));
  }

  /** @param {import('../shared/events.js').Caption} caption */
  caption(caption) {
    this.#echoDetector?.caption(caption);
  }

  close() {
    this.#gate.stop();
    this.#wakeLock.release();
    this.#mic.close();
    this.#speaker.close();
  }

  /** @param {CaptureReport} report */
  #onCapture(report) {
    if (report.type === 'level') {
      this.#inputLevel = report.rms;
      this.#noticeZeros(report.rms > 0);
      // Somebody probably speaks, so an answer will come.
      if (report.rms > LOUD_RMS) this.expectSound();
      if (this.#speaker.suspended) this.#host.emit('levels', { input: report.rms, output: 0 });
    }
    this.oncapture(report);
  }

  /** A microphone that is open and gives nothing, not even noise: a switch, a dead cable. @param {boolean} sound */
  #noticeZeros(sound) {
    if (sound && this.#zeros >= ZEROS) this.#tellDevice('resumed');
    this.#zeros = sound || this.#choices.muted || this.#gate.muted ? 0 : this.#zeros + 1;
    if (this.#zeros === ZEROS) this.#tellDevice('silent');
  }

  /** @param {import('../shared/events.js').DeviceReason} reason */
  #tellDevice(reason) {
    this.#host.emit('device', { kind: 'microphone', reason, label: this.#mic.label });
  }

  /** @param {PlaybackReport} report */
  #onPlayback(report) {
    if (report.type === 'meter') {
      this.#echoDetector?.levels(this.#inputLevel, report.rms);
      this.#host.emit('levels', { input: this.#inputLevel, output: report.rms });
    } else if (report.type === 'started') {
      this.#stopped = false;
      this.#echoDetector?.started();
      this.#gate.modelHeard(true, 0);
    } else if (report.type === 'drained' || report.type === 'silent') {
      if (report.type === 'silent' && report.played > 0 && !this.#stopped) void this.#interrupted();
      this.#gate.modelHeard(false, this.#speaker.latencySeconds);
    }
    this.onplayed(report);
  }

  /** The model was interrupted while it was heard. The detector loads with the first time, which it cannot judge. */
  async #interrupted() {
    if (this.#echoDetector) return this.#echoDetector.interrupted();
    const { EchoDetector } = await import('./echo-detector.js').catch(() => ({ EchoDetector: null }));
    if (EchoDetector) this.#echoDetector ??= new EchoDetector(() => this.#host.emit('echo', { cause: 'heard' }));
  }

  #onDevicesChanged = async () => {
    const { sink } = this.#speaker;
    if (!sink || sink === 'default') return;
    const { hasOutput } = await import('./devices.js');
    if (!(await hasOutput(sink))) await this.#speaker.useSystem();
  };
}
