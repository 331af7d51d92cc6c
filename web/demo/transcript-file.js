/**
 * Copies and saves the transcript, and records the conversation. Loaded with the first click on one of these buttons.
 */
import { byId } from '../common/dom.js';
import { LiveError } from '../live/index.js';

/** @typedef {{role: 'user' | 'model', text: string, startedAt: number, interrupted?: boolean}} Turn */

/** The names that the page shows. @type {Record<Turn['role'], string>} */
const NAMES = { user: 'You', model: 'Assistant' };

export class TranscriptFile {
  #session;
  #record = byId('record', HTMLButtonElement);
  #status = byId('transcript-status', HTMLSpanElement);

  /** @param {import('../live/index.js').LiveSession} session */
  constructor(session) {
    this.#session = session;
    session.addEventListener('recording', ({ detail }) => this.#recording(detail.state));
  }

  /** @param {string} [action]  `copy`, `text`, `json` or `record` */
  async keep(action) {
    const session = this.#session;
    try {
      this.#status.textContent = '';
      if (action === 'copy') {
        await navigator.clipboard.writeText(transcriptText(session.transcript));
        this.#status.textContent = 'Copied';
      } else if (action === 'text') saveText(session.transcript);
      else if (action === 'json') save(new Blob([session.transcriptJson()], { type: 'application/json' }), 'json');
      else await this.#toggleRecording();
    } catch (error) {
      this.#status.textContent = error instanceof LiveError ? error.detail : 'The browser did not allow this.';
    }
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

/**
 * The transcript as text: a line for each day, and one for each turn with the local time.
 * @param {Turn[]} turns
 */
function transcriptText(turns) {
  let day = '';
  const lines = turns.flatMap(({ role, text, startedAt, interrupted }) => {
    const at = new Date(startedAt);
    const line = `${at.toLocaleTimeString('en-GB')} ${NAMES[role]}: ${text.trim()}${interrupted ? ' —' : ''}`;
    const itsDay = at.toLocaleDateString('en-GB', { dateStyle: 'full' });
    if (itsDay === day) return [line];
    day = itsDay;
    return [day, line];
  });
  return lines.map((line) => `${line}\n`).join('');
}

/** Saves the transcript as a text file. @param {Turn[]} turns */
export function saveText(turns) {
  save(new Blob([transcriptText(turns)], { type: 'text/plain' }), 'txt');
}

/** Saves the content as a file whose name has the local time. @param {Blob} blob @param {string} extension */
function save(blob, extension) {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString();
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `conversation-${local.slice(0, 16).replace(':', '-')}.${extension}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
