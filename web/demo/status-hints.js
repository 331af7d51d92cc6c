/**
 * Turns device and network events during a conversation into one line that says what to do.
 * hint.js shows it. Events that end a conversation belong to talk.js.
 */
import { byId, isolate } from '../common/dom.js';

import { Hint } from './hint.js';

/** @typedef {import('../live/index.js').LiveEvents} LiveEvents */

/** @type {Record<string, Record<string, string>>} */
const DEVICE_HINTS = {
  microphone: {
    lost: 'The microphone was disconnected. Reconnect it, or choose another one in Settings.',
    silent: 'The microphone gives no sound at all. Check its switch, or choose another one in Settings.',
    interrupted: 'Another app is using the microphone. The assistant cannot hear you.',
    'muted-by-system': 'Your system or headset muted the microphone. The assistant cannot hear you.',
  },
  speaker: { lost: 'The selected speaker was disconnected. Sound now plays on the system speaker.' },
};
/** @type {Record<string, string>} */
const NETWORK_HINTS = {
  slow: 'The network is slow. The assistant hears you with a delay.',
  offline:
    'You are offline. The conversation continues when you are back online. Your last few seconds of speech are kept.',
  silent: 'The service has not responded for a while.',
};

export class StatusHints {
  #hint = new Hint();
  #session;
  /** Handlers by event name. @type {{[K in keyof LiveEvents]?: (detail: LiveEvents[K]) => void}} */
  handlers = {
    network: ({ state }) => {
      if (state === 'ok') this.#hint.clear('network');
      else this.#hint.show('network', NETWORK_HINTS[state]);
    },
    device: (change) => this.#device(change),
    echo: ({ cause }) => this.#echo(cause),
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
    else if (reason === 'changed' && label) this.#hint.show(kind, `Now using ${isolate(label)}.`);
    else this.#hint.clear(kind);
  }

  /** @param {'heard' | 'output'} cause */
  #echo(cause) {
    const text =
      cause === 'heard'
        ? 'The assistant hears itself. Use headphones, or turn on half-duplex.'
        : 'This speaker may cause an echo. Use headphones, or turn on half-duplex.';
    this.#hint.show('echo', text, {
      'Turn on half-duplex': () => {
        byId('half-duplex', HTMLInputElement).checked = true; // the settings panel may not be loaded yet
        this.#session.setHalfDuplex(true);
      },
    });
  }
}
