/**
 * The settings panel: audio devices and their tests, turn-taking, the transcript to save, and the recording.
 * Loaded when the panel opens for the first time.
 */

import { byId, create } from '../common/dom.js';
import { LiveError, LiveSession } from '../live/index.js';

/** Maps an RMS to 0..1. Speech has an RMS near 0.1; the square root puts it in the middle of the meter. */
const loudness = (/** @type {number} */ rms) => Math.min(1, Math.sqrt(rms * 3.5));

export class Settings {
  #session;
  #microphone = byId('microphone', HTMLSelectElement);
  #speaker = byId('speaker', HTMLSelectElement);
  #halfDuplex = byId('half-duplex', HTMLInputElement);
  #record = byId('record', HTMLButtonElement);
  #status = byId('settings-status', HTMLSpanElement);

  /** @param {LiveSession} session @param {(push: boolean) => void} pushChosen */
  constructor(session, pushChosen) {
    this.#session = session;
    const level = byId('level', HTMLMeterElement);
    session.addEventListener('levels', ({ detail }) => (level.value = loudness(detail.input)));
    session.addEventListener('recording', ({ detail }) => this.#recording(detail.state));
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.refresh().catch(() => {}));
    this.#choose(this.#microphone, (id) => session.setMicrophone(id || undefined));
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
    this.#on('copy-text', async () => {
      await navigator.clipboard.writeText(session.transcriptText());
      this.#status.textContent = 'Copied';
    });
    this.#on('save-text', () => save(new Blob([session.transcriptText()], { type: 'text/plain' }), 'txt'));
    this.#on('save-json', () => save(new Blob([session.transcriptJson()], { type: 'application/json' }), 'json'));
    this.#on('record', () => this.#toggleRecording());
    byId('settings-panel', HTMLDivElement).inert = false; // before this a click had no effect
  }

  /** Shows the current devices, and whether there is a transcript to save. */
  async refresh() {
    byId('push-mode', HTMLInputElement).checked = this.#session.inputMode === 'push-to-talk';
    const { inputs, outputs, canChooseOutput } = await LiveSession.devices();
    fill(this.#microphone, inputs, 'Microphone');
    fill(this.#speaker, outputs, 'Speaker');
    byId('speaker-control', HTMLDivElement).hidden = !canChooseOutput || outputs.length < 2;
    const said = this.#session.transcript.length > 0;
    byId('transcript-actions', HTMLParagraphElement).hidden = !said;
    byId('nothing-said', HTMLParagraphElement).hidden = said;
    this.#status.textContent = '';
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

  async #toggleRecording() {
    if (!this.#session.recording) return this.#session.startRecording();
    const wav = await this.#session.stopRecording();
    if (wav) save(wav, 'wav');
  }

  /** @param {'on' | 'full' | 'off'} state */
  #recording(state) {
    this.#record.setAttribute('aria-pressed', String(state !== 'off'));
    this.#record.textContent = state === 'off' ? 'Record' : 'Stop and save';
    this.#status.textContent =
      state === 'on' ? 'Recording on this device' : state === 'full' ? 'The recording is full. Stop to save it.' : '';
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

/** @param {Blob} blob @param {string} extension */
function save(blob, extension) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `conversation-${new Date().toISOString().slice(0, 16).replace(':', '-')}.${extension}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
