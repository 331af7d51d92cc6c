/**
 * The parts of the page that only a conversation needs: captions, cards, hints, figures, the log, push-to-talk.
 * talk.js loads this module with the first start, while it asks for the token.
 */
import { byId, create, isolate } from '../common/dom.js';

import { Announcer } from './announcer.js';
import { contextLost, emptyTurn, stalled } from './answer-notes.js';
import { record } from './call-record.js';
import { Captions } from './captions.js';
import { Diagnostics } from './diagnostics.js';
import { PushToTalk } from './push-to-talk.js';
import { Reconnects } from './reconnects.js';
import { log } from './session-log.js';
import { StatusHints } from './status-hints.js';
import { followInTab } from './tab-state.js';
import { setUpTiles } from './tiles.js';
import { TOOL_NOTES } from './tools.js';

/** @typedef {import('../live/index.js').LiveEvents} LiveEvents */
/** @typedef {{[K in keyof LiveEvents]?: (detail: LiveEvents[K], at: number) => void}} Handlers */

export class LivePanels {
  #captions = new Captions(byId('captions', HTMLOListElement), byId('scroll', HTMLDivElement), showTranscript);
  #diagnostics;
  #hints;
  #push;
  #session;
  /** How often the transcript was removed. */
  #cleared = 0;
  #reconnects = new Reconnects();
  #announcer = new Announcer(byId('announcer', HTMLDivElement));
  /** Handlers by event name. @type {Handlers} */
  #handlers;

  /**
   * @param {import('../live/index.js').LiveSession} session
   * @param {(held: boolean) => void} pushToTalk
   */
  constructor(session, pushToTalk) {
    const captions = this.#captions;
    const reconnects = this.#reconnects;
    this.#session = session;
    followInTab();
    const diagnostics = new Diagnostics(() => session.diagnostics());
    this.#diagnostics = diagnostics;
    this.#hints = new StatusHints(session);
    setUpTiles();
    this.#push = new PushToTalk(byId('push', HTMLButtonElement), pushToTalk);
    this.#handlers = {
      statechange: (change, at) => {
        reconnects.state(change);
        record.state(change, at);
        if (change.state === 'ended' || change.state === 'error') void this.#summarize();
      },
      caption: (caption) => {
        captions.show(caption);
        reconnects.caption(caption);
        record.caption(caption);
      },
      reconnected: (change) => this.#note(reconnects.sentence(change)),
      notice: ({ text }) => this.#note(`Message from the operators: ${isolate(text)}`),
      stalled: (change) => this.#note(stalled(change)),
      emptyturn: (change) => this.#note(emptyTurn(change)),
      contextlost: (change) => this.#note(contextLost(change)),
      toolcall: (call) => captions.tool(call),
      toolresult: ({ id, name, ok }) =>
        captions.toolEnded(id, ok ? 'done' : 'failed', ok ? (TOOL_NOTES[name] ?? `Used ${name}`) : `${name} failed`),
      toolcancel: ({ id, name }) => captions.toolEnded(id, 'cancelled', `${name} was cancelled`),
      grounding: ({ links }) => captions.sources(links),
      diagnostics: (report) => {
        record.diagnostics(report);
        diagnostics.show(report);
      },
      ...this.#hints.handlers,
      network: (change) => {
        reconnects.network(change);
        this.#hints.handlers.network?.(change);
      },
    };
  }

  /**
   * @template {keyof LiveEvents} K @param {K} type @param {LiveEvents[K]} detail
   * @param {number} at  when it happened, epoch milliseconds: it may have waited for this module
   */
  handle(type, detail, at) {
    this.#handlers[type]?.(detail, at);
    log.add(type, detail, at);
  }

  /** Adds a line about the conversation to the transcript. @param {string} text */
  #note(text) {
    this.#captions.add(create('p', text));
    this.#announcer.say(text);
  }

  /** Adds the card about the call that has ended, if anything was said in it. */
  async #summarize() {
    const { figures } = record;
    if (!record.connected || figures.turns === 0) return;
    const cleared = this.#cleared;
    const part = await import('./summary.js').catch(() => null); // the card is no reason for an error
    if (part && cleared === this.#cleared) this.#captions.add(...part.summary(figures, this.#session));
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
    this.#cleared += 1;
    this.#captions.clear();
    log.clear();
  }
}

/** @param {boolean} filled */
function showTranscript(filled) {
  document.body.toggleAttribute('data-has-transcript', filled);
}
