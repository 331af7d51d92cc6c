/**
 * Draws the ring around the Talk button: the level of both voices, and the state of the connection.
 * It draws only while something moves, and at a slow pace: at the screen's own pace the ring took 5 % of the main thread.
 * With reduced motion nothing travels or bends; a voice only makes its circle thicker.
 */

/** @typedef {'rest' | 'busy' | 'thinking' | 'live'} Mode */
/** @typedef {{you: string, them: string, line: string}} Colours */

const TAU = Math.PI * 2;
const POINTS = 72;
/** Time between frames. Levels arrive every 50 ms. */
const PAUSE_MS = 90;
/** A level rises at once and falls slowly; otherwise the ring flickers. */
const RISE = 0.9;
const FALL = 0.38;
const QUIET = 0.004;

export class Ring {
  #canvas;
  #button;
  #context;
  /** @type {Mode} */
  #mode = 'rest';
  /** @type {number | null} */
  #wait = null;
  #target = { you: 0, them: 0 };
  #level = { you: 0, them: 0 };
  #frame = 0;
  /** Sizes in CSS pixels. Reading them in each frame would force a layout. */
  #size = { canvas: 0, button: 0 };
  /** @type {Colours} */
  #colours = { you: '', them: '', line: '' };
  #still = window.matchMedia('(prefers-reduced-motion: reduce)');

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} button  the circle inside the ring
   */
  constructor(canvas, button) {
    this.#canvas = canvas;
    this.#button = button;
    const context = canvas.getContext('2d');
    if (!context) throw new Error('The page cannot draw');
    this.#context = context;
    const observer = new ResizeObserver(() => this.#resize());
    for (const element of [canvas, button]) observer.observe(element);
    for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)']) {
      window.matchMedia(query).addEventListener('change', () => this.#readColours());
    }
    this.#still.addEventListener('change', () => this.#scheduleFrame());
  }

  /** Levels as RMS, 0..1. @param {number} input @param {number} output */
  setLevels(input, output) {
    this.#target = { you: loudness(input), them: loudness(output) };
    this.#scheduleFrame();
  }

  /** @param {Mode} mode */
  setMode(mode) {
    this.#mode = mode;
    if (mode !== 'live') this.#target = { you: 0, them: 0 };
    this.#readColours();
  }

  /** The share of a wait that is left, 0..1; null ends the wait. @param {number | null} share */
  setWait(share) {
    this.#wait = share;
    this.#scheduleFrame();
  }

  #resize() {
    const scale = window.devicePixelRatio || 1;
    this.#size = { canvas: this.#canvas.clientWidth, button: this.#button.offsetWidth };
    this.#canvas.width = this.#canvas.height = Math.round(this.#size.canvas * scale);
    this.#readColours();
  }

  /** Reads the current colours from the style sheets. */
  #readColours() {
    const style = getComputedStyle(this.#canvas);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
    this.#colours = { you: colour('--you'), them: colour('--them'), line: colour('--ring') };
    this.#scheduleFrame();
  }

  #scheduleFrame() {
    this.#frame ||= window.setTimeout(() => this.#draw(), PAUSE_MS);
  }

  #draw() {
    this.#frame = 0;
    const moving = [this.#approach('you'), this.#approach('them')].includes(true);
    const context = this.#context;
    const size = this.#size;
    const scale = this.#canvas.width / (size.canvas || 1);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.translate(size.canvas / 2, size.canvas / 2);
    context.lineCap = 'round';
    const inner = size.button / 2 + 11;
    const room = size.canvas / 2 - inner - 6;
    const seconds = this.#still.matches ? 0 : performance.now() / 1000;
    if (this.#wait !== null) this.#drawWait(inner, this.#wait);
    else if (this.#mode === 'busy') this.#drawBusy(inner, seconds);
    else if (this.#mode === 'thinking') this.#drawThinking(inner, seconds);
    else if (this.#mode === 'live' || moving) this.#drawVoices(inner, room, seconds);
    else this.#circle(inner, this.#colours.line, 1.5);
    const travels = this.#mode !== 'rest' && !this.#still.matches && this.#wait === null;
    if (moving || travels) this.#scheduleFrame();
  }

  /** Moves a level one frame closer to its target. Returns whether it still moves. @param {'you' | 'them'} who */
  #approach(who) {
    const gap = this.#target[who] - this.#level[who];
    this.#level[who] += gap * (gap > 0 ? RISE : FALL);
    if (Math.abs(gap) > QUIET) return true;
    this.#level[who] = this.#target[who];
    return false;
  }

  /** @param {number} inner @param {number} room @param {number} seconds */
  #drawVoices(inner, room, seconds) {
    const { you, them } = this.#level;
    if (this.#still.matches) {
      this.#circle(inner + 14, this.#colours.them, 2 + them * 16);
      this.#circle(inner, this.#colours.you, 2 + you * 12);
      return;
    }
    this.#blob(inner + 7, them * (room - 7), seconds, this.#colours.them);
    this.#blob(inner, you * room, 40 - seconds * 1.15, this.#colours.you);
  }

  /**
   * A circle that swells and ripples with a voice. Without a voice it is a plain circle.
   * @param {number} radius @param {number} swell @param {number} seconds @param {string} colour
   */
  #blob(radius, swell, seconds, colour) {
    if (swell < 0.5) {
      this.#circle(radius, colour, 2);
      return;
    }
    const context = this.#context;
    context.beginPath();
    for (let i = 0; i <= POINTS; i += 1) {
      const angle = (i / POINTS) * TAU;
      const ripple =
        Math.sin(2 * angle + seconds * 0.9) + Math.sin(3 * angle - seconds * 1.7) + Math.sin(5 * angle + seconds * 2.6);
      const reach = radius + swell * (0.52 + 0.16 * ripple);
      context.lineTo(Math.cos(angle) * reach, Math.sin(angle) * reach);
    }
    context.closePath();
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.stroke();
    context.arc(0, 0, radius, 0, TAU); // tint only the part outside the resting circle
    context.fillStyle = colour;
    context.globalAlpha = 0.16;
    context.fill('evenodd');
    context.globalAlpha = 1;
  }

  /** @param {number} radius @param {number} seconds */
  #drawBusy(radius, seconds) {
    this.#circle(radius, this.#colours.line, 1.5);
    const from = (seconds * 1.4) % TAU;
    this.#arc(radius, from, from + TAU * 0.22, this.#colours.them, 3);
  }

  /** @param {number} radius @param {number} seconds */
  #drawThinking(radius, seconds) {
    this.#circle(radius, this.#colours.line, 1.5);
    for (let i = 0; i < 3; i += 1) {
      const from = (seconds * 0.9 + (i * TAU) / 3) % TAU;
      this.#arc(radius, from, from + 0.32 + 0.12 * Math.sin(seconds * 2 + i), this.#colours.them, 3);
    }
  }

  /** @param {number} radius @param {number} share */
  #drawWait(radius, share) {
    this.#circle(radius, this.#colours.line, 1.5);
    this.#arc(radius, -TAU / 4, -TAU / 4 + TAU * share, this.#colours.you, 3);
  }

  /** @param {number} radius @param {string} colour @param {number} width */
  #circle(radius, colour, width) {
    this.#arc(radius, 0, TAU, colour, width);
  }

  /** @param {number} radius @param {number} from @param {number} to @param {string} colour @param {number} width */
  #arc(radius, from, to, colour, width) {
    const context = this.#context;
    context.beginPath();
    context.arc(0, 0, radius, from, to);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

/** Maps an RMS to 0..1. Speech has an RMS near 0.1; the square root puts it in the middle. @param {number} rms */
function loudness(rms) {
  return Math.min(1, Math.sqrt(Math.max(0, rms) * 3.5));
}
