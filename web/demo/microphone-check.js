/**
 * Shows the microphone's level before a conversation. The microphone is open only during the check.
 */
import { byId } from '../common/dom.js';

const EVERY_MS = 50;
/** The RMS of a quiet voice close to a microphone. Noise of a room is below. */
const VOICE = 0.02;
/** After this time without a voice the page says what to do. */
const SILENT_MS = 4000;

export class MicrophoneCheck {
  #button = byId('check-microphone', HTMLButtonElement);
  #result = byId('check-result', HTMLSpanElement);
  /** Aborts the check that runs. @type {AbortController | null} */
  #running = null;
  #show;

  /** @param {(rms: number) => void} show */
  constructor(show) {
    this.#show = show;
  }

  get running() {
    return this.#running !== null;
  }

  /** @param {string} deviceId  '' is the system's default @returns {Promise<void>} resolves once the microphone is open */
  async start(deviceId) {
    this.stop();
    const running = new AbortController();
    const { signal } = running;
    this.#running = running;
    this.#say('Opening the microphone…');
    const context = new AudioContext();
    signal.addEventListener('abort', () => void context.close());
    try {
      const wish = deviceId ? { deviceId: { exact: deviceId } } : true;
      const stream = await navigator.mediaDevices.getUserMedia({ audio: wish });
      const close = () => {
        for (const track of stream.getTracks()) track.stop();
      };
      if (signal.aborted) return close();
      signal.addEventListener('abort', close);
      void context.resume();
      this.#measure(context, stream, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.stop();
      const denied = error instanceof DOMException && error.name === 'NotAllowedError';
      this.#say(
        denied ? 'The browser blocked the microphone. Allow it in the site settings.' : 'No working microphone.',
      );
    }
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
    this.#show(0);
    this.#say('');
  }

  /** @param {AudioContext} context @param {MediaStream} stream @param {AbortSignal} signal */
  #measure(context, stream, signal) {
    const analyser = context.createAnalyser();
    const samples = new Float32Array(analyser.fftSize);
    context.createMediaStreamSource(stream).connect(analyser);
    this.#say('Say something.');
    const begun = performance.now();
    let heard = false;
    const timer = window.setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const rms = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
      this.#show(rms);
      if (heard) return;
      heard = rms > VOICE;
      if (heard) this.#say('Your microphone works.');
      else if (performance.now() - begun > SILENT_MS) this.#say('Nothing heard yet. Speak, or choose another one.');
    }, EVERY_MS);
    signal.addEventListener('abort', () => window.clearInterval(timer));
  }

  /** @param {string} words */
  #say(words) {
    this.#button.setAttribute('aria-pressed', String(this.running));
    this.#button.textContent = this.running ? 'Stop the check' : 'Check microphone';
    if (this.#result.textContent !== words) this.#result.textContent = words;
  }
}
