/**
 * The parts of the page that only a conversation needs: captions, cards, hints, diagnostics, push-to-talk.
 * talk.js loads this module with the first start, while it asks for the token.
 */
import { byId } from '../common/dom.js';

import { Captions } from './captions.js';
import { Diagnostics } from './diagnostics.js';
import { PushToTalk } from './push-to-talk.js';
import { StatusHints } from './status-hints.js';
import { setUpTiles } from './tiles.js';
import { TOOL_NOTES } from './tools.js';

/** @typedef {import('../live/index.js').LiveEvents} LiveEvents */
/** @typedef {{[K in keyof LiveEvents]?: (detail: LiveEvents[K]) => void}} Handlers */

export class LivePanels {
  #captions = new Captions(byId('captions', HTMLOListElement), byId('scroll', HTMLDivElement), showTranscript);
  #diagnostics;
  #hints;
  #push;
  /** Handlers by event name. @type {Handlers} */
  #handlers;

  /**
   * @param {import('../live/index.js').LiveSession} session
   * @param {(held: boolean) => void} pushToTalk
   */
  constructor(session, pushToTalk) {
    const captions = this.#captions;
    const diagnostics = new Diagnostics(() => session.diagnostics());
    this.#diagnostics = diagnostics;
    this.#hints = new StatusHints(session);
    setUpTiles();
    this.#push = new PushToTalk(byId('push', HTMLButtonElement), pushToTalk);
    this.#handlers = {
      caption: (caption) => captions.show(caption),
      toolcall: (call) => captions.tool(call),
      toolresult: ({ id, name, ok }) =>
        captions.toolEnded(id, ok ? 'done' : 'failed', ok ? (TOOL_NOTES[name] ?? `Used ${name}`) : `${name} failed`),
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

  /** Fills the diagnostics panel when it opens. */
  openDiagnostics() {
    this.#diagnostics.open();
  }

  /** The conversation has ended. Its transcript stays. */
  conversationEnded() {
    this.#hints.conversationEnded();
    this.#push.release();
  }

  /** Removes the transcript after a sign-out. */
  clearTranscript() {
    this.#captions.clear();
  }
}

/** @param {boolean} filled */
function showTranscript(filled) {
  document.body.toggleAttribute('data-has-transcript', filled);
}
