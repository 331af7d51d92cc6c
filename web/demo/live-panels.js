/**
 * What the page needs only once there is a conversation: words, cards, hints, figures, the key to hold.
 * Loaded with the first start, side by side with the token. Owns: the parts. Needs: the session and its events.
 */
import { byId } from '../common/dom.js';

import { Captions } from './captions.js';
import { Diagnostics } from './diagnostics.js';
import { StatusHints } from './status-hints.js';
import { flip } from './flip.js';
import { PushToTalk } from './push-to-talk.js';
import { TOOL_NOTES } from './tools.js';

/** @typedef {import('../live/events.js').LiveEvents} LiveEvents */
/** @typedef {{[K in keyof LiveEvents]?: (detail: LiveEvents[K]) => void}} Handlers */

const talked = byId('transcript', HTMLElement);

export class LivePanels {
  #captions = new Captions(byId('captions', HTMLOListElement), byId('scroll', HTMLDivElement), showTranscript);
  #diagnostics;
  #hints;
  #push;
  /** By the event's name. @type {Handlers} */
  #handlers;

  /** @param {import('../live/index.js').LiveSession} session */
  constructor(session) {
    const captions = this.#captions;
    const diagnostics = (this.#diagnostics = new Diagnostics(() => session.diagnostics()));
    this.#hints = new StatusHints(session);
    this.#push = new PushToTalk(byId('push', HTMLButtonElement), (pressed) => session.talk(pressed));
    this.#handlers = {
      caption: (caption) => captions.show(caption),
      toolcall: (call) => captions.tool(call),
      toolresult: ({ id, name, ok }) => captions.toolEnded(id, ok ? 'done' : 'failed', ok ? TOOL_NOTES[name] ?? `Used ${name}` : `${name} failed`),
      toolcancel: ({ id, name }) => captions.toolEnded(id, 'cancelled', `${name} was cancelled`),
      grounding: ({ links }) => captions.sources(links),
      diagnostics: (report) => diagnostics.show(report),
      ...this.#hints.handlers,
    };
  }

  /** @template {keyof LiveEvents} K @param {K} type @param {LiveEvents[K]} detail */
  handle(type, detail) {
    this.#handlers[type]?.(detail);
  }

  /** The panel with the figures was opened. */
  openDiagnostics() {
    this.#diagnostics.open();
  }

  /** The conversation is over; its words stay. */
  conversationEnded() {
    this.#hints.conversationEnded();
    this.#push.release();
  }

  /** Who talked has signed out. */
  clearTranscript() {
    this.#captions.clear();
  }
}

/** The first line needs a place of its own; without any, the button has the middle. @param {boolean} filled */
function showTranscript(filled) {
  if (talked.hidden !== filled) return;
  flip([byId('orb', HTMLDivElement), byId('status-lines', HTMLDivElement), byId('controls', HTMLDivElement)], () => {
    talked.hidden = !filled;
    document.body.toggleAttribute('data-has-transcript', filled);
  });
}
