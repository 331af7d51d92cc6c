/**
 * The microphone: permission, capture context, capture worklet. Owns: stream, context, node. Needs scripts.js,
 * errors.js. Leaves resampling to the worklet and sending to the network side, which holds the other port.
 */
import { LiveError } from './errors.js';
import { scriptUrl } from './scripts.js';

/** @typedef {{type: 'level', rms: number, loudAt: number} | {type: 'starved'}} CaptureReport */

export class Mic {
  #context;
  #module;
  /** @type {MediaStream | null} */
  #stream = null;
  /** @type {MediaStreamAudioSourceNode | null} */
  #source = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  #muted = false;
  #closed = false;
  /** @type {(report: CaptureReport) => void} */
  onreport = () => {};
  /** @type {(error: LiveError) => void} */
  onlost = () => {};

  constructor() {
    // No sampleRate: Firefox refuses a microphone in a context of another rate than the device's.
    this.#context = new AudioContext();
    this.#module = this.#context.audioWorklet.addModule(scriptUrl('./worklets/capture-processor.js'));
    this.#module.catch(() => {}); // told by open()
  }

  /** Resolves when the worklet is compiled. */
  get prepared() {
    return this.#module;
  }

  /** Call it inside the click, before any await: iOS listens only there. */
  resume() {
    this.#context.resume().catch(() => {});
  }

  /**
   * Asks for the microphone and joins it to `port`. Asks at once, inside the click.
   * @param {MessagePort} port where 20 ms chunks of PCM16 go
   * @param {string | undefined} deviceId
   */
  async open(port, deviceId) {
    setAudioSession('play-and-record');
    const asked = getUserMedia(deviceId);
    // The answer may come at any time, also after the end: then the microphone goes off again at once.
    asked.then((stream) => this.#take(stream)).catch(() => {}); // a refusal is told below
    await this.#module;
    if (this.#closed) return;
    this.#node = new AudioWorkletNode(this.#context, 'live-capture', {
      numberOfInputs: 1,
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    this.#node.port.onmessage = ({ data }) => this.onreport(data);
    this.#node.onprocessorerror = () =>
      this.onlost(new LiveError({ reason: 'no-microphone', detail: 'The microphone’s processing failed.' }));
    this.#node.port.postMessage({ port }, [port]);
    await asked;
    this.#attach(deviceId);
  }

  /** What the browser granted; constraints are wishes. */
  get settings() {
    const { echoCancellation, noiseSuppression, autoGainControl } = this.#track?.getSettings() ?? {};
    return { sampleRate: this.#context.sampleRate, echoCancellation, noiseSuppression, autoGainControl };
  }

  /** Keeps track and graph, so that unmuting costs nothing; a disabled track gives silence. @param {boolean} muted */
  setMuted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
  }

  close() {
    this.#closed = true;
    this.#release();
    setAudioSession('auto');
    this.#node?.disconnect();
    this.#node?.port.close();
    void this.#context.close().catch(() => {});
  }

  get #track() {
    return this.#stream?.getAudioTracks()[0];
  }

  /** @param {MediaStream} stream */
  #take(stream) {
    this.#stream = stream;
    if (this.#closed) this.#release();
    else this.setMuted(this.#muted);
  }

  /** @param {string | undefined} deviceId */
  #attach(deviceId) {
    if (!this.#stream || !this.#node) return;
    this.#source = this.#context.createMediaStreamSource(this.#stream);
    this.#source.connect(this.#node);
    this.#track?.addEventListener('ended', () => void this.#reopen(deviceId), { once: true });
  }

  /** The device went away: take the next one, keep worklet and socket. @param {string | undefined} deviceId */
  async #reopen(deviceId) {
    if (this.#closed) return;
    this.#release();
    try {
      this.#take(await getUserMedia(deviceId).catch(() => getUserMedia(undefined)));
      this.#attach(deviceId);
    } catch (cause) {
      this.onlost(LiveError.from(cause, 'no-microphone'));
    }
  }

  #release() {
    this.#source?.disconnect();
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
  }
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
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (cause) {
    throw LiveError.microphone(cause);
  }
}
