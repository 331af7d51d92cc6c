/**
 * The microphone: permission, stream, and what feeds the capture worklet. Owns: the stream, and taking the next device
 * when one goes away. Needs worklet-host.js, errors.js. Leaves resampling to the worklet and sending to the network side,
 * which holds the other port.
 */
import { LiveError } from '../shared/errors.js';
import { WorkletHost } from './worklet-host.js';

/** @typedef {{type: 'level', rms: number, loudAt: number} | {type: 'starved'}} CaptureReport */
/** @typedef {'lost' | 'changed' | 'interrupted' | 'resumed' | 'muted-by-system' | 'unmuted-by-system'} DeviceReason */

/** A Bluetooth headset takes about a second to change its profile, and its rate with it. */
const SETTLED_MS = 1000;

/** @extends {WorkletHost<CaptureReport>} */
export class Mic extends WorkletHost {
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  /** @type {string | undefined} */
  #deviceId;
  /** The device's rate when it was joined. @type {number | undefined} */
  #rate;
  #muted = false;
  #reopening = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;

  constructor() {
    super({
      script: '../audio/worklets/capture-processor.js',
      name: 'live-capture',
      node: { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' },
      // No sampleRate: Firefox refuses a microphone in a context of another rate than the device's.
      open: () => new AudioContext(),
    });
  }

  /**
   * Asks for the microphone and joins it to `port`. Asks at once, inside the click.
   * @param {MessagePort} port where 20 ms chunks of PCM16 go
   * @param {string | undefined} deviceId
   */
  async open(port, deviceId) {
    setAudioSession('play-and-record');
    this.#deviceId = deviceId;
    const asked = getUserMedia(deviceId).catch(explain);
    // The answer may come at any time, also after the end: then the microphone goes off again at once.
    asked.then((stream) => this.#take(stream)).catch(() => {}); // a refusal is told below
    await this.prepared;
    if (this.closed) return;
    this.join(port);
    await asked;
    await this.#attach();
    navigator.mediaDevices.addEventListener?.('devicechange', this.#settleSoon);
  }

  /** Another microphone, now; the one before stays if this one cannot be opened. @param {string | undefined} deviceId */
  async choose(deviceId) {
    if (this.node) {
      this.#take(await getUserMedia(deviceId).catch(explain));
      await this.#attach();
      this.ondevice('changed');
    }
    this.#deviceId = deviceId;
  }

  /** What the browser granted; constraints are wishes. */
  get settings() {
    const { echoCancellation, noiseSuppression, autoGainControl } = this.#track?.getSettings() ?? {};
    return { sampleRate: this.context.sampleRate, echoCancellation, noiseSuppression, autoGainControl };
  }

  /** Keeps track and graph, so that unmuting costs nothing; a disabled track gives silence. @param {boolean} muted */
  setMuted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
  }

  close() {
    clearTimeout(this.#settling);
    globalThis.navigator?.mediaDevices?.removeEventListener?.('devicechange', this.#settleSoon);
    this.#release();
    setAudioSession('auto');
    super.close();
  }

  get #track() {
    return this.#stream?.getAudioTracks()[0];
  }

  get label() {
    return this.#track?.label ?? '';
  }

  /** @param {MediaStream} stream */
  #take(stream) {
    this.#release();
    this.#stream = stream;
    if (this.closed) this.#release();
    else this.setMuted(this.#muted);
  }

  async #attach(again = true) {
    const track = this.#track;
    if (!this.#stream || !track || !this.node) return;
    try {
      this.#source?.disconnect();
      this.#source = this.context.createMediaStreamSource(this.#stream);
    } catch (cause) {
      // Firefox, when the next device has another rate than the last one.
      if (again) return this.rebuild();
      throw cause;
    }
    this.#source.connect(this.node);
    this.#rate = track.getSettings().sampleRate;
    track.onended = () => void this.#reopen();
    track.onmute = () => this.ondevice('muted-by-system');
    track.onunmute = () => {
      this.ondevice('unmuted-by-system');
      this.#settleSoon(); // a call may have left the device at another rate
    };
    if (track.muted) track.onmute(new Event('mute'));
  }

  #settleSoon = () => {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.#settle(), SETTLED_MS);
  };

  /** Devices have come, gone or changed. */
  async #settle() {
    const track = this.#track;
    if (!track || track.readyState === 'ended') await this.#reopen(); // Safari does not always say so
    else if (track.getSettings().sampleRate !== this.#rate) {
      // The worklet filters from the old rate, and engines differ in what they make of that.
      await this.rebuild();
      this.ondevice('changed');
    }
  }

  /** The device went away: take the next one, keep worklet and socket. */
  async #reopen() {
    if (this.closed || this.#reopening) return;
    this.#reopening = true;
    if (this.#stream) this.ondevice('lost');
    this.#release();
    try {
      this.#take(await getUserMedia(this.#deviceId).catch(() => getUserMedia(undefined)));
      await this.#attach();
      if (this.#stream) this.ondevice('changed');
    } catch (cause) {
      const error = LiveError.microphone(cause);
      // Without any microphone the conversation goes on, typed, until the next one is plugged in.
      if (error.reason !== 'no-microphone') void error.explained().then(this.onlost);
    } finally {
      this.#reopening = false;
    }
  }

  /** Another context and worklet for the same stream. */
  async rebuild() {
    try {
      await super.rebuild();
      await this.#attach(false);
    } catch (cause) {
      this.onlost(LiveError.from(cause, 'no-microphone'));
    }
  }

  #release() {
    this.#source?.disconnect();
    this.#source = null;
    for (const track of this.#stream?.getTracks() ?? []) {
      track.onended = track.onmute = track.onunmute = null;
      track.stop();
    }
    this.#stream = null;
  }
}

/** Rejects with a LiveError. @param {unknown} cause @returns {Promise<never>} */
async function explain(cause) {
  throw await LiveError.microphone(cause).explained();
}

/** iOS routes sound by what the page says it does; elsewhere there is no such thing. @param {string} type */
function setAudioSession(type) {
  const { audioSession } = /** @type {{audioSession?: {type: string}}} */ (/** @type {unknown} */ (navigator));
  if (audioSession) audioSession.type = type;
}

/** @param {string | undefined} deviceId */
async function getUserMedia(deviceId) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new LiveError({
      reason: 'unsupported',
      detail: 'This browser gives the page no microphone.',
      hint: 'Use a current browser and open the page over https.',
    });
  }
  const audio = {
    // 'all' asks to cancel everything that the system plays; where modes are unknown it reads as true.
    echoCancellation: /** @type {any} */ ('all'),
    noiseSuppression: true,
    autoGainControl: true,
    channelCount: 1,
    ...(deviceId && { deviceId: { exact: deviceId } }),
  };
  return navigator.mediaDevices.getUserMedia({ audio });
}
