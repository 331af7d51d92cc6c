/**
 * The controls of the talk view: what each state looks like and says. talk.js decides what a click does.
 */
import { clockWords } from '../common/countdown.js';
import { byId } from '../common/dom.js';

import { ProfileChoice } from './profile-choice.js';

/**
 * @typedef {'signed-out' | 'idle' | 'connecting' | 'listening' | 'thinking' | 'waiting' | 'speaking' | 'reconnecting' | 'ended' | 'error'} State
 * @typedef {{state: State, microphone: boolean, muted: boolean, push?: boolean, held?: boolean, asking?: boolean,
 *   video?: boolean}} Scene
 * @typedef {{status: string, lead: string, talk: string, ring: import('./ring.js').Mode, message?: string}} Look
 */

/** @type {Record<State, Look>} */
const LOOKS = {
  'signed-out': { status: 'Signed out', lead: '', talk: 'Talk', ring: 'rest' },
  idle: {
    status: 'Ready when you are',
    lead: 'Press Talk, allow the microphone, and speak.',
    talk: 'Talk',
    ring: 'rest',
    message: 'Or type a message',
  },
  connecting: {
    status: 'Connecting…',
    lead: 'You can start speaking now. Nothing you say is lost.',
    talk: 'Cancel',
    ring: 'busy',
    message: 'Sent as soon as you are connected',
  },
  listening: { status: 'Listening', lead: '', talk: 'Stop', ring: 'live' },
  thinking: { status: 'Thinking…', lead: '', talk: 'Stop', ring: 'thinking' },
  waiting: {
    status: 'Still waiting for the assistant',
    lead: 'You can say it again, or stop.',
    talk: 'Stop',
    ring: 'thinking',
  },
  speaking: { status: 'Speaking', lead: 'Speak at any time to interrupt.', talk: 'Stop', ring: 'live' },
  reconnecting: {
    status: 'Reconnecting…',
    lead: 'One moment. Nothing you say is lost.',
    talk: 'Stop',
    ring: 'busy',
    message: 'Sent as soon as you are back',
  },
  ended: {
    status: 'Conversation ended',
    lead: 'Press Talk to start a new one.',
    talk: 'Talk',
    ring: 'rest',
    message: 'Type to start a new one',
  },
  error: { status: 'Not connected', lead: '', talk: 'Talk', ring: 'rest' },
};

/** Status and hint while a live conversation sends no microphone audio. */
const MUTED = { status: 'Muted', lead: 'The assistant cannot hear you.' };
const RELEASED = { status: 'Hold to talk', lead: 'Hold the button or the space bar while you speak.' };
/** The browser asks, and nobody has answered yet. */
const ASKING = {
  status: 'Allow the microphone',
  lead: 'Your browser asks for it. Nothing is charged until you answer. You can also cancel and type.',
};
const TYPING = { status: 'Connected', lead: 'Type below, or press Talk to use your voice.' };

/** The states in which there is a conversation to stop. @type {ReadonlySet<State>} */
export const LIVE = new Set(
  /** @type {State[]} */ (['connecting', 'listening', 'thinking', 'waiting', 'speaking', 'reconnecting']),
);

/** Status and hint if a live conversation sends no microphone audio, otherwise null. @param {Scene} scene */
function silence({ state, microphone, muted, push, held, asking }) {
  if (!microphone) return TYPING;
  if (state === 'connecting') return asking ? ASKING : null;
  if (muted) return MUTED;
  return push && !held ? RELEASED : null;
}

export class TalkView {
  talk = byId('talk', HTMLButtonElement);
  mute = byId('mute', HTMLButtonElement);
  interrupt = byId('interrupt', HTMLButtonElement);
  end = byId('end', HTMLButtonElement);
  push = byId('push', HTMLButtonElement);
  camera = byId('camera', HTMLButtonElement);
  screen = byId('screen', HTMLButtonElement);
  checkMicrophone = byId('check-first', HTMLButtonElement);
  #clock = byId('clock', HTMLSpanElement);
  volume = byId('volume', HTMLInputElement);
  profile = new ProfileChoice();
  #talkLabel = byId('talk-label', HTMLSpanElement);
  #talkWait = byId('talk-wait', HTMLSpanElement);
  #status = byId('status', HTMLParagraphElement);
  #lead = byId('lead', HTMLParagraphElement);
  #muteLabel = byId('mute-label', HTMLSpanElement);
  #message = byId('message', HTMLInputElement);
  #volumeControl = byId('volume-control', HTMLDivElement);
  #ring;

  /** @param {import('./ring.js').Ring} ring */
  constructor(ring) {
    this.#ring = ring;
  }

  /** @param {Scene} scene */
  render(scene) {
    const live = LIVE.has(scene.state);
    this.#showStatus(scene, live);
    this.#offerInterrupt(scene.state === 'speaking');
    this.#showControls(scene, live && scene.state !== 'connecting');
    this.profile.offered(!live);
    this.checkMicrophone.hidden = scene.state !== 'idle' || !navigator.mediaDevices;
  }

  /** @param {Scene} scene @param {boolean} live */
  #showStatus(scene, live) {
    const { state } = scene;
    const look = LOOKS[state];
    const silent = live ? silence(scene) : null;
    document.body.dataset.state = state;
    document.body.toggleAttribute('data-unheard', Boolean(silent)); // the dot and the ring look live only if someone is heard
    this.#status.dataset.state = state;
    this.#status.textContent = silent && (state === 'listening' || silent === ASKING) ? silent.status : look.status;
    // While the connection is replaced, only "Muted" is more important than that nothing is lost.
    const own = state === 'reconnecting' && silent !== MUTED ? null : silent;
    this.#lead.textContent = own?.lead ?? look.lead;
    this.#talkLabel.textContent = silent === TYPING && state !== 'connecting' ? 'Talk' : look.talk;
    this.talk.dataset.shows = this.#talkLabel.textContent === 'Talk' ? 'talk' : 'stop';
    this.#message.placeholder = look.message ?? 'Type a message';
    this.#ring.setMode(look.ring);
  }

  /** @param {Scene} scene @param {boolean} connected */
  #showControls({ microphone, muted, push = false, video = false }, connected) {
    this.mute.hidden = !connected || !microphone || push;
    this.#muteLabel.textContent = muted ? 'Unmute' : 'Mute';
    this.#offerPush(push && connected && microphone);
    this.camera.hidden = !video || !connected || !navigator.mediaDevices;
    this.screen.hidden = this.camera.hidden || !('getDisplayMedia' in navigator.mediaDevices);
    this.end.hidden = !connected || microphone;
    this.#volumeControl.hidden = !connected;
  }

  /** Shows or hides Interrupt. Its focus goes to the transcript, so that a second press does no harm. @param {boolean} offered */
  #offerInterrupt(offered) {
    if (!offered && document.activeElement === this.interrupt) byId('scroll', HTMLDivElement).focus();
    this.interrupt.hidden = !offered;
  }

  /** Shows or hides the push-to-talk button. It takes the focus from Talk, so that the space bar does not end the conversation. @param {boolean} offered */
  #offerPush(offered) {
    const { activeElement } = document;
    this.push.hidden = !offered;
    if (offered && activeElement === this.talk) this.push.focus();
    else if (!offered && activeElement === this.push) this.talk.focus();
  }

  /** The time left in the session; null if unknown or if no session runs. @param {number | null} seconds */
  showClock(seconds) {
    this.#clock.hidden = seconds === null;
    this.#clock.textContent = seconds === null ? '' : `${clockWords(seconds)} left`;
  }

  /** Shows the wait after a rejected request in the Talk button. @param {number} seconds @param {number | null} share */
  showWait(seconds, share) {
    const waiting = share !== null;
    this.#ring.setWait(share);
    this.#talkWait.hidden = !waiting;
    this.#talkWait.textContent = waiting ? clockWords(seconds) : '';
    this.talk.toggleAttribute('data-waiting', waiting);
    if (waiting) {
      this.#talkLabel.textContent = 'Wait';
      this.talk.setAttribute('aria-disabled', 'true');
    } else {
      this.#talkLabel.textContent = 'Talk';
      this.talk.removeAttribute('aria-disabled');
    }
  }

  /** The label of a profile. @param {string} name */
  nameOf(name) {
    return this.profile.labels.get(name) ?? name;
  }
}
