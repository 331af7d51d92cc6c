/**
 * A simulated browser's audio, with the faults of real engines and devices. The test plays the system: it plugs
 * devices in and out, interrupts the audio for a call, and moves the clock.
 *
 * It reproduces iOS's state `interrupted` (resume() then gives a frozen clock), Firefox's rejection of a microphone
 * with another rate, Bluetooth's change of rate, and tracks that the system mutes or ends.
 */
export class FakeTrack extends EventTarget {
  readyState = 'live';
  enabled = true;
  muted = false;
  onended = null;
  onmute = null;
  onunmute = null;

  constructor(device) {
    super();
    this.device = device;
    this.label = device.label;
  }

  getSettings() {
    return { sampleRate: this.device.rate, deviceId: this.device.deviceId, echoCancellation: true };
  }

  stop() {
    this.readyState = 'ended';
  }

  /** The device disappears. */
  end() {
    this.readyState = 'ended';
    this.onended?.(new Event('ended'));
  }

  /** The system takes the microphone, or gives it back. */
  setMuted(muted) {
    this.muted = muted;
    (muted ? this.onmute : this.onunmute)?.(new Event(muted ? 'mute' : 'unmute'));
  }
}

export class FakeContext {
  /** Seconds, shared by all contexts. */
  static clock = 0;
  static made = [];
  static hardwareRate = 48000;
  static firefox = false;
  state = 'suspended';
  frozen = false;
  resumes = 0;
  sink = '';
  sources = [];
  baseLatency = 0.01;
  outputLatency = 0.02;
  onstatechange = null;
  destination = {};
  audioWorklet = { addModule: async () => {} };
  #stoodAt = 0;

  constructor({ sampleRate = FakeContext.hardwareRate } = {}) {
    this.sampleRate = sampleRate;
    FakeContext.made.push(this);
  }

  get currentTime() {
    if (this.state === 'running' && !this.frozen) this.#stoodAt = FakeContext.clock;
    return this.#stoodAt;
  }

  /** The system changes the state. */
  become(state) {
    if (this.state === 'closed' || this.state === state) return;
    this.state = state;
    this.onstatechange?.(new Event('statechange'));
  }

  async resume() {
    this.resumes += 1;
    if (this.state === 'interrupted') this.frozen = true;
    this.become('running');
  }

  async suspend() {
    this.become('suspended');
  }

  async close() {
    this.become('closed');
  }

  createGain() {
    const set = [];
    return { gain: { set, setTargetAtTime: (value) => set.push(value) }, connect() {} };
  }

  createMediaStreamSource(stream) {
    const { rate } = stream.getAudioTracks()[0].device;
    if (FakeContext.firefox && rate !== this.sampleRate) {
      throw new DOMException('of another rate', 'NotSupportedError');
    }
    const source = {
      stream,
      connected: null,
      connect: (node) => (source.connected = node),
      disconnect: () => (source.connected = null),
    };
    this.sources.push(source);
    return source;
  }
}

/** The context of a browser that lets a page choose its loudspeaker. */
export class RoutedContext extends FakeContext {
  async setSinkId(id) {
    if (id && !browser.devices.some(({ kind, deviceId }) => kind === 'audiooutput' && deviceId === id)) {
      throw new DOMException('no such device', 'NotFoundError');
    }
    this.sink = id;
  }
}

class FakeWorkletNode {
  static made = [];
  sent = [];
  constructor(context, name) {
    this.context = context;
    this.name = name;
    this.port = { onmessage: null, close() {}, postMessage: (message) => this.sent.push(message) };
    FakeWorkletNode.made.push(this);
  }
  connect() {}
  disconnect() {}

  /** Sends a report from the worklet. */
  report(data) {
    this.port.onmessage({ data });
  }
}

/** The browser of the running test. */
export let browser;

/** @param {import('node:test').TestContext} t */
export function installBrowser(t, { Context = FakeContext } = {}) {
  const page = new EventTarget();
  const mediaDevices = new EventTarget();
  browser = {
    devices: [{ kind: 'audioinput', deviceId: 'built-in', label: 'Built-in microphone', rate: 48000 }],
    tracks: [],
    wishes: [],
    locks: [],
    refuses: null,
    page,
    contexts: FakeContext.made,
    nodes: FakeWorkletNode.made,
    /** The newest node of a worklet. */
    node: (name) => FakeWorkletNode.made.findLast((node) => node.name === name),
    get track() {
      return this.tracks.at(-1);
    },
    plug(...devices) {
      this.devices.push(...devices);
      mediaDevices.dispatchEvent(new Event('devicechange'));
    },
    unplug(deviceId) {
      this.devices = this.devices.filter((device) => device.deviceId !== deviceId);
      for (const track of this.tracks)
        if (track.device.deviceId === deviceId && track.readyState === 'live') track.end();
      mediaDevices.dispatchEvent(new Event('devicechange'));
    },
    changed: () => mediaDevices.dispatchEvent(new Event('devicechange')),
    happens: (type) => page.dispatchEvent(new Event(type)),
  };
  Object.assign(FakeContext, { clock: 0, firefox: false, hardwareRate: 48000 });
  FakeContext.made.length = FakeWorkletNode.made.length = 0;
  mediaDevices.enumerateDevices = async () => browser.devices;
  mediaDevices.getUserMedia = async ({ audio }) => {
    browser.wishes.push(audio);
    if (browser.refuses) throw new DOMException('refused', browser.refuses);
    const wanted = audio.deviceId?.exact;
    const device = browser.devices.find(
      ({ kind, deviceId }) => kind === 'audioinput' && (!wanted || deviceId === wanted),
    );
    if (wanted && browser.broken?.deviceId === wanted) throw new DOMException('broken', browser.broken.name);
    if (!device) throw new DOMException('none', wanted ? 'OverconstrainedError' : 'NotFoundError');
    const track = new FakeTrack(device);
    browser.tracks.push(track);
    return { getTracks: () => [track], getAudioTracks: () => [track] };
  };
  const wakeLock = {
    request: async (kind) => {
      if (browser.refusesLocks) throw new DOMException('low battery', 'NotAllowedError');
      const lock = { kind, released: false, release: async () => (lock.released = true) };
      browser.locks.push(lock);
      return lock;
    },
  };
  const globals = {
    navigator: { mediaDevices, wakeLock, audioSession: { type: 'auto' } },
    AudioContext: Context,
    AudioWorkletNode: FakeWorkletNode,
    addEventListener: page.addEventListener.bind(page),
    removeEventListener: page.removeEventListener.bind(page),
  };
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  t.mock.timers.enable({ apis: ['setTimeout'] });
  return browser;
}

/** Lets promises and MessagePorts continue. */
export async function breathe() {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Moves the timers and the contexts' clocks. */
export async function pass(t, ms) {
  await breathe();
  FakeContext.clock += ms / 1000;
  t.mock.timers.tick(ms);
  await breathe();
}
