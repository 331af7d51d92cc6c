/**
 * Short tones and vibrations at the turning points of a call, for people who look elsewhere. Off until someone asks.
 * Loaded when the box in the settings is ticked for the first time.
 */
import { byId } from '../common/dom.js';

/** Hertz of each note, and the vibration in milliseconds. @typedef {{notes: number[], vibration: number[]}} Cue */
/** @type {Record<'connected' | 'lost' | 'ended', Cue>} */
const CUES = {
  connected: { notes: [523, 784], vibration: [40] },
  lost: { notes: [392, 330], vibration: [60, 60, 60] },
  ended: { notes: [659, 440], vibration: [80] },
};
const NOTE_SECONDS = 0.12;
/** Quiet: the assistant's voice matters more. */
const GAIN = 0.08;

const WAITING = new Set(['connecting', 'reconnecting']);
const TALKING = new Set(['listening', 'thinking', 'waiting', 'speaking']);

/**
 * The cue for a change of state, or null.
 * @param {string} before @param {string} after
 * @returns {keyof typeof CUES | null}
 */
export function cueFor(before, after) {
  if (TALKING.has(after) && WAITING.has(before)) return 'connected';
  if (after === 'reconnecting') return 'lost';
  return (after === 'ended' || after === 'error') && TALKING.has(before) ? 'ended' : null;
}

/** @type {AudioContext | null} */
let context = null;
let on = false;

/** Call it inside a click: browsers allow sound only then. @param {boolean} wanted */
export function setCues(wanted) {
  on = wanted;
  if (!wanted) return;
  if (!context) {
    context = new AudioContext();
    follow(byId('status', HTMLParagraphElement));
  }
  context.resume().catch(() => {}); // without sound there is still the vibration
  play(CUES.connected); // so that the person knows what to expect
}

/** @param {HTMLElement} status */
function follow(status) {
  let before = status.dataset.state ?? '';
  new MutationObserver(() => {
    const after = status.dataset.state ?? '';
    const cue = cueFor(before, after);
    before = after;
    if (on && cue) play(CUES[cue]);
  }).observe(status, { attributeFilter: ['data-state'] });
}

/** @param {Cue} cue */
function play({ notes, vibration }) {
  navigator.vibrate?.(vibration);
  if (context?.state !== 'running' && context?.state !== 'suspended') return;
  const gain = new GainNode(context, { gain: 0 });
  gain.connect(context.destination);
  notes.forEach((frequency, index) => {
    const at = /** @type {AudioContext} */ (context).currentTime + index * NOTE_SECONDS;
    gain.gain.setTargetAtTime(GAIN, at, 0.01);
    gain.gain.setTargetAtTime(0, at + NOTE_SECONDS * 0.6, 0.02);
    const note = new OscillatorNode(/** @type {AudioContext} */ (context), { frequency });
    note.connect(gain);
    note.start(at);
    note.stop(at + NOTE_SECONDS * 1.5);
    if (index === notes.length - 1) note.addEventListener('ended', () => gain.disconnect());
  });
}
