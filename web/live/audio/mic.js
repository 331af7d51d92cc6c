/**
 * The microphone: permission, stream, and the node that feeds the capture worklet. Takes the next device when one
 * disappears. Leaves resampling to the worklet, and sending to the network, which holds the other port.
 */
import { LiveError } from '../shared/errors.js';
import { WorkletHost } from './worklet-host.js';

/** A Bluetooth headset needs about a second to change its profile, and its rate with it. */
const SETTLE_MS = 1000;
/** A microphone that needs no permission opens sooner. */
const ASKING_MS = 500;

/** @extends {WorkletHost<import('../shared/audio-messages.js').CaptureReport>} */
export class Mic extends WorkletHost {
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  /** @type {string | undefined} */
  #deviceId;
  /** The microphone, as soon as the browser gives it. @type {Promise<MediaStream> | undefined} */
  #requested;
  /** Asked for before the click, because the answer takes a while. It follows later changes. */
  #permission = navigator.permissions?.query({ name: /** @type {PermissionName} */ ('microphone') }).catch(() => null);
  /** The device's rate when it was connected. @type {number | undefined} */
  #rate;
  /** The chosen device was gone at the start. */
  #fellBack = false;
  #muted = false;
  #reopening = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #settling;

  constructor() {
    super({
      script: new URL('./worklets/capture-processor.js', import.meta.url),
      name: 'live-capture',
      node: { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1, channelCountMode: 'explicit' },
      // No sampleRate: Firefox rejects a microphone in a context of another rate than the device's.
      createContext: () => new AudioContext(),
    });
  }

  /**
   * Asks for the microphone and connects it to `port`. Asks at once, inside the click.
   * @param {MessagePort} port receives 20 ms chunks of PCM16
   * @param {string | undefined} deviceId
   */
  async open(port, deviceId) {
    setAudioSession('play-and-record');
    this.#deviceId = deviceId;
    const requested = this.#openAny(deviceId).catch(throwExplained);
    this.#requested = requested;
    // The answer may come at any time, even after the end. Then the microphone is released at once.
    requested.then((stream) => this.#use(stream)).catch(() => {}); // a refusal is reported below
    await this.prepared;
    if (this.signal.aborted) return;
    this.connect(port);
    await requested;
    await this.#attach();
    if (this.#fellBack && this.#stream) this.ondevice('changed');
    navigator.mediaDevices.addEventListener?.('devicechange', this.#settleSoon, { signal: this.signal });
  }

  /** Call it after open(). Resolves when the browser does not ask for the microphone, or no longer. */
  async permitted() {
    if ((await this.#permission)?.state === 'granted') return;
    const timer = setTimeout(() => this.ondevice('asking'), ASKING_MS);
    await this.#requested?.finally(() => clearTimeout(timer));
  }

  /** The chosen device, or the system's own if that is gone. @param {string | undefined} deviceId */
  async #openAny(deviceId) {
    try {
      return await getUserMedia(deviceId);
    } catch (cause) {
      if (!deviceId || LiveError.microphone(cause).reason !== 'no-microphone') throw cause;
      const stream = await getUserMedia(undefined);
      this.ondevice('lost');
      this.#fellBack = true;
      return stream;
    }
  }

  /** Changes the microphone now. Keeps the current one if the new one cannot be opened. @param {string | undefined} deviceId */
  async choose(deviceId) {
    if (this.node) {
      this.#use(await getUserMedia(deviceId).catch(throwExplained));
      await this.#attach();
      this.ondevice('changed');
    }
    this.#deviceId = deviceId;
  }

  /** The settings that the browser granted. Constraints are only wishes. */
  get settings() {
    const { echoCancellation, noiseSuppression, autoGainControl } = this.#track?.getSettings() ?? {};
    return { sampleRate: this.context.sampleRate, echoCancellation, noiseSuppression, autoGainControl };
  }

  /** Keeps track and graph, so that unmuting takes no time. A disabled track gives silence. @param {boolean} muted */
  setMuted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
  }

  close() {
    clearTimeout(this.#settling);
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
  #use(stream) {
    this.#release();
    this.#stream = stream;
    if (this.signal.aborted) this.#release();
    else this.setMuted(this.#muted);
  }

  async #attach(mayRebuild = true) {
    const track = this.#track;
    if (!this.#stream || !track || !this.node) return;
    try {
      this.#source?.disconnect();
      this.#source = this.context.createMediaStreamSource(this.#stream);
    } catch (cause) {
      // Firefox, when the next device has another rate than the previous one.
      if (mayRebuild) return this.rebuild();
      throw cause;
    }
    this.#source.connect(this.node);
    this.#rate = track.getSettings().sampleRate;
    track.onended = () => void this.#reopen();
    track.onmute = () => this.ondevice('muted-by-system');
    track.onunmute = () => {
      this.ondevice('unmuted-by-system');
      this.#settleSoon(); // a call may have changed the device's rate
    };
    if (track.muted) track.onmute(new Event('mute'));
  }

  #settleSoon = () => {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => void this.#settle(), SETTLE_MS);
  };

  /** Devices appeared, disappeared or changed. */
  async #settle() {
    const track = this.#track;
    // Safari does not always send an `ended` event.
    if (!track || track.readyState === 'ended') await this.#reopen();
    else if (track.getSettings().sampleRate !== this.#rate) {
      // The worklet still filters from the old rate, and engines differ in what they do about that.
      await this.rebuild();
      this.ondevice('changed');
    }
  }

  /** The device is gone: takes the next one and keeps worklet and socket. */
  async #reopen() {
    if (this.signal.aborted || this.#reopening) return;
    this.#reopening = true;
    if (this.#stream) this.ondevice('lost');
    this.#release();
    try {
      this.#use(await getUserMedia(this.#deviceId).catch(() => getUserMedia(undefined)));
      await this.#attach();
      if (this.#stream) this.ondevice('changed');
    } catch (cause) {
      const error = LiveError.microphone(cause);
      // Without any microphone the conversation continues, typed, until the user plugs one in.
      if (error.reason !== 'no-microphone') void error.explained().then(this.onlost);
    } finally {
      this.#reopening = false;
    }
  }

  /** Creates context and worklet again for the same stream. */
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

/** @param {unknown} cause @returns {Promise<never>} rejects with a LiveError */
async function throwExplained(cause) {
  throw await LiveError.microphone(cause).explained();
}

/** Sets the purpose of the audio, because iOS routes audio by it. Other systems have no audio session. @param {string} type */
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
      hint: 'Use a current browser over https.',
    });
  }
  const audio = {
    // 'all' cancels everything that the system plays. Browsers without such modes read it as true.
    echoCancellation: /** @type {any} */ ('all'),
    noiseSuppression: true,
    autoGainControl: true,
    channelCount: 1,
    ...(deviceId && { deviceId: { exact: deviceId } }),
  };
  return navigator.mediaDevices.getUserMedia({ audio });
}
