/**
 * The settings panel: audio devices and their checks, and turn-taking.
 * Loaded when the panel opens for the first time.
 */

import { byId, create } from '../common/dom.js';
import { LiveError, LiveSession } from '../live/index.js';

import { MicrophoneCheck } from './microphone-check.js';

/** Maps an RMS to 0..1. Speech has an RMS near 0.1; the square root puts it in the middle of the meter. */
const loudness = (/** @type {number} */ rms) => Math.min(1, Math.sqrt(rms * 3.5));

export class Settings {
  #session;
  #microphone = byId('microphone', HTMLSelectElement);
  #speaker = byId('speaker', HTMLSelectElement);
  #halfDuplex = byId('half-duplex', HTMLInputElement);
  #status = byId('settings-status', HTMLParagraphElement);
  #level = byId('level', HTMLMeterElement);
  #check = new MicrophoneCheck((rms) => (this.#level.value = loudness(rms)));

  /** @param {LiveSession} session @param {(push: boolean) => void} pushChosen */
  constructor(session, pushChosen) {
    this.#session = session;
    session.addEventListener('levels', ({ detail }) => (this.#level.value = loudness(detail.input)));
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.refresh().catch(() => {}));
    this.#choose(this.#microphone, (id) => this.#useMicrophone(id));
    this.#choose(this.#speaker, (id) => session.setSpeaker(id));
    const cues = byId('cues', HTMLInputElement);
    cues.addEventListener('change', async () => {
      const part = await import('./cues.js').catch(() => null);
      if (part) part.setCues(cues.checked);
      else cues.checked = false;
    });
    const push = byId('push-mode', HTMLInputElement);
    push.addEventListener('change', () => pushChosen(push.checked));
    this.#halfDuplex.addEventListener('change', () => session.setHalfDuplex(this.#halfDuplex.checked));
    this.#on('test-tone', () => session.playTestTone(this.#speaker.value));
    this.#on('check-microphone', () => (this.#check.running ? this.#check.stop() : this.checkMicrophone()));
    const sheet = byId('settings', HTMLDetailsElement);
    sheet.addEventListener('toggle', () => sheet.open || this.#check.stop());
    session.addEventListener('statechange', () => this.#offerCheck());
    byId('settings-panel', HTMLDivElement).inert = false; // before this a click had no effect
  }

  /** Shows the current devices. */
  async refresh() {
    byId('push-mode', HTMLInputElement).checked = this.#session.inputMode === 'push-to-talk';
    const { inputs, outputs, canChooseOutput } = await LiveSession.devices();
    fill(this.#microphone, inputs, 'Microphone');
    fill(this.#speaker, outputs, 'Speaker');
    byId('speaker-control', HTMLDivElement).hidden = !canChooseOutput || outputs.length < 2;
    this.#offerCheck();
    this.#status.textContent = '';
  }

  /** Opens the microphone and shows its level until the panel closes or a conversation starts. */
  async checkMicrophone() {
    await this.#check.start(this.#microphone.value);
    if (this.#check.running) await this.refresh(); // devices have names only now
  }

  /** During a conversation the level is that of the conversation. */
  #offerCheck() {
    const talks = !['idle', 'ended', 'error'].includes(this.#session.state);
    if (talks && this.#check.running) this.#check.stop();
    byId('check-microphone', HTMLButtonElement).hidden = talks;
  }

  /** @param {string} id */
  async #useMicrophone(id) {
    await this.#session.setMicrophone(id || undefined);
    if (this.#check.running) await this.#check.start(id);
  }

  /** @param {HTMLSelectElement} select @param {(id: string) => Promise<void>} use */
  #choose(select, use) {
    let before = select.value;
    select.addEventListener('change', async () => {
      try {
        await use(select.value);
        before = select.value;
      } catch {
        select.value = before;
        this.#status.textContent = 'This device does not work. Choose another one.';
      }
    });
  }

  /** @param {string} id @param {() => unknown} act */
  #on(id, act) {
    byId(id, HTMLButtonElement).addEventListener('click', async () => {
      try {
        await act();
      } catch (error) {
        this.#status.textContent = error instanceof LiveError ? error.detail : 'The browser did not allow this.';
      }
    });
  }
}

/** @param {HTMLSelectElement} select @param {{deviceId: string, label: string}[]} devices @param {string} kind */
function fill(select, devices, kind) {
  const chosen = select.value;
  select.replaceChildren(
    ...devices.map(({ deviceId, label }, index) => {
      const option = create('option', label || `${kind} ${index + 1}`);
      option.value = deviceId === 'default' ? '' : deviceId;
      return option;
    }),
  );
  if (devices.length === 0) select.append(create('option', 'System default'));
  if ([...select.options].some(({ value }) => value === chosen)) select.value = chosen;
}
