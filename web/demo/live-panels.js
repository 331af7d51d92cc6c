/**
 * What the page needs only once there is a conversation: words, cards, hints, figures, the key to hold.
 * Loaded with the first start, side by side with the token. Owns: the parts. Needs: the session and its events.
 */
import { byId } from '../common/dom.js';

import { Captions } from './captions.js';
import { Diagnostics } from './diagnostics.js';
import { Happenings } from './status-hints.js';
import { glide } from './flip.js';
import { PushToTalk } from './push-to-talk.js';
import { TOOL_NOTES } from './tools.js';

/** @typedef {import('../live/events.js').LiveEvents} LiveEvents */
/** @typedef {{[K in keyof LiveEvents]?: (detail: LiveEvents[K]) => void}} Hearers */

const talked = byId('talked', HTMLElement);

export class During {
  #captions = new Captions(byId('captions', HTMLOListElement), byId('scroll', HTMLDivElement), makeRoom);
  #diagnostics;
  #happenings;
  #push;
  /** By the event's name. @type {Hearers} */
  #hearers;

  /** @param {import('../live/index.js').LiveSession} session */
  constructor(session) {
    const captions = this.#captions;
    const diagnostics = (this.#diagnostics = new Diagnostics(() => session.diagnostics()));
    this.#happenings = new Happenings(session);
    this.#push = new PushToTalk(byId('push', HTMLButtonElement), (pressed) => session.talk(pressed));
    this.#hearers = {
      caption: (caption) => captions.show(caption),
      toolcall: (call) => captions.tool(call),
      toolresult: ({ id, name, ok }) => captions.toolEnded(id, ok ? 'done' : 'failed', ok ? TOOL_NOTES[name] ?? `Used ${name}` : `${name} failed`),
      toolcancel: ({ id, name }) => captions.toolEnded(id, 'cancelled', `${name} was called off`),
      grounding: ({ links }) => captions.sources(links),
      diagnostics: (report) => diagnostics.show(report),
      ...this.#happenings.hearers,
    };
  }

  /** @template {keyof LiveEvents} K @param {K} type @param {LiveEvents[K]} detail */
  hear(type, detail) {
    this.#hearers[type]?.(detail);
  }

  /** The panel with the figures was opened. */
  inspect() {
    this.#diagnostics.open();
  }

  /** The conversation is over; its words stay. */
  over() {
    this.#happenings.over();
    this.#push.release();
  }

  /** Who talked has signed out. */
  forget() {
    this.#captions.clear();
  }
}

/** The first line needs a place of its own; without any, the button has the middle. @param {boolean} filled */
function makeRoom(filled) {
  if (talked.hidden !== filled) return;
  glide([byId('orb', HTMLDivElement), byId('says', HTMLDivElement), byId('controls', HTMLDivElement)], () => {
    talked.hidden = !filled;
    document.body.toggleAttribute('data-talked', filled);
  });
}
