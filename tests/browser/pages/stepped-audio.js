/**
 * Runs before the page's scripts: audio contexts whose clock goes on when a test says so, as fast as the machine can
 * render. `audio.step(seconds)` lets all of them hear and play for so long; in between they stand still, as in a
 * rendering that waits. The microphone is a loop of faint noise at the rate of a headset. Nothing else is replaced:
 * nodes, worklets and ports are the browser's.
 */
globalThis.audio = { contexts: [], hours: 1.25 };
{
  const MICROPHONE_RATE = 8000;
  /** A voice from the next room: the service does not take it for speech. */
  const FAINT = 0.004;

  globalThis.AudioContext = class extends OfflineAudioContext {
    #state = 'suspended';
    #seconds = 0;
    baseLatency = 0;
    outputLatency = 0;
    /** Standing still is what this one is for; it would be taken for a fault. */
    onstatechange = null;

    constructor({ sampleRate = MICROPHONE_RATE } = {}) {
      super({ sampleRate, length: audio.hours * 3600 * sampleRate });
      audio.contexts.push(this);
    }

    get state() {
      return this.#state;
    }

    async resume() {
      if (this.#state === 'running') return;
      this.#state = 'running';
      const held = super.suspend(0);
      void this.startRendering();
      await held;
    }

    /** Parked between answers: its clock stands still anyway. */
    async suspend() {}

    async close() {}

    createMediaStreamSource() {
      const buffer = new AudioBuffer({ sampleRate: this.sampleRate, length: this.sampleRate });
      buffer.copyToChannel(
        Float32Array.from({ length: buffer.length }, () => FAINT * (2 * Math.random() - 1)),
        0,
      );
      const source = new AudioBufferSourceNode(this, { buffer, loop: true });
      source.start();
      return source;
    }

    async step(seconds) {
      if (this.#state !== 'running') return;
      this.#seconds += seconds;
      const held = super.suspend(this.#seconds);
      await super.resume();
      await held;
    }
  };

  /** Second by second: more of the microphone at once than the socket takes would have to be dropped. */
  audio.step = async (seconds) => {
    for (let left = seconds; left > 0; left -= 1) {
      await Promise.all(audio.contexts.map((context) => context.step(Math.min(left, 1))));
    }
  };
}
