/**
 * What happens to devices and the network while a conversation goes on, as one line that says what to do about it.
 * Needs: the library's events. Leaves: showing to hint.js; what ends a conversation to talk.js.
 */
import { byId } from '../common/dom.js';

import { Hint } from './hint.js';

/** @type {Record<string, Record<string, string>>} */
const DEVICE_HINTS = {
  microphone: {
    lost: 'The microphone is gone. Connect it again, or choose another in Settings.',
    interrupted: 'Something else on this device is using the microphone. You are not heard.',
    'muted-by-system': 'Your system or headset has muted the microphone. You are not heard.',
  },
  speaker: { lost: 'The chosen speaker is gone. You hear the system’s own now.' },
};
/** @type {Record<string, string>} */
const NETWORK_HINTS = {
  slow: 'The network is slow. The assistant hears you late.',
  offline: 'You are offline. The conversation goes on once you are back; what you say is kept for a few seconds.',
  silent: 'The service has not answered for a while.',
};

export class StatusHints {
  #hint = new Hint();
  #session;
  /** @type {import('./live-panels.js').Handlers} */
  handlers = {
    network: ({ state }) => {
      if (state === 'ok') this.#hint.clear('network');
      else this.#hint.show('network', NETWORK_HINTS[state]);
    },
    device: (change) => this.#device(change),
    echo: ({ cause }) => this.#echo(cause),
    reconnected: ({ resumed, seeded, planned }) => {
      if (planned || resumed) return;
      this.#hint.show('line', seeded ? 'A new line. The assistant was told what was said so far.' : 'A new line. The assistant does not know what was said before.');
    },
  };

  /** @param {import('../live/index.js').LiveSession} session */
  constructor(session) {
    this.#session = session;
  }

  conversationEnded() {
    this.#hint.clear();
  }

  /** @param {{kind: string, reason: string, label: string}} change */
  #device({ kind, reason, label }) {
    const text = DEVICE_HINTS[kind]?.[reason];
    if (text) this.#hint.show(kind, text);
    else if (reason === 'changed' && label) this.#hint.show(kind, `Now using ${label}.`);
    else this.#hint.clear(kind);
  }

  /** @param {'heard' | 'output'} cause */
  #echo(cause) {
    const text = cause === 'heard' ? 'The assistant seems to hear itself. Headphones help, or take turns.' : 'The assistant may hear itself through this speaker. Headphones help, or take turns.';
    this.#hint.show('echo', text, {
      'Take turns': () => {
        byId('half-duplex', HTMLInputElement).checked = true; // the settings, which may not have been opened yet
        this.#session.setHalfDuplex(true);
      },
    });
  }
}
