/**
 * Remembers what happened, for developers: the steps of the latest call in plain words, and the library's events.
 *
 * A token, a resumption handle or a bearer never gets here: `redact` removes them before an event is stored.
 */

/** @typedef {import('../live/index.js').LiveEvents} LiveEvents */
/** `ms` since the click. @typedef {{ms: number, title: string, detail: string}} Step */
/** @typedef {{ms: number, type: string, text: string}} Entry */

const MOST_STEPS = 200;
const MOST_EVENTS = 200;
const MOST_CHARACTERS = 2000;
const HIDDEN = '(hidden)';
/** Names of members that hold a credential. The numbers of tokens that the service counts are none. */
const SECRET_NAME = /token$|handle|auth|cookie|csrf|secret|password|api_?key|^key$/i;
const SECRET_TEXT = /auth_tokens|eyJ[\w-]{8}|lbk_|Bearer /;
/** Names of members that hold audio, pictures, or what a model thinks: large, and of no use as text. */
const BINARY_NAME = /^(data|inlineData|thoughtSignature)$/;

/**
 * A copy of a value without secrets and without audio.
 * @param {unknown} value @param {string} [name]
 * @returns {unknown}
 */
export function redact(value, name = '') {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return value;
  if (BINARY_NAME.test(name)) return '(audio or picture)';
  if (SECRET_NAME.test(name)) return HIDDEN;
  if (typeof value === 'string') {
    const shown = value.slice(0, MOST_CHARACTERS); // a transcript may have a megabyte
    return SECRET_TEXT.test(shown) ? HIDDEN : shown;
  }
  if (value instanceof Error) return redact({ ...value }, name);
  if (Array.isArray(value)) return value.map((item) => redact(item));
  if (typeof value !== 'object') return undefined;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, redact(inner, key)]));
}

/** @type {[keyof import('../live/index.js').LiveEvents['diagnostics']['steps'], string, string][]} */
const CONNECTED = [
  ['opened', 'Connected straight to the model', 'A WebSocket from this browser. No audio passes the broker.'],
  ['ready', 'Conversation set up', 'The service accepted the locked setup of the token.'],
  ['microphone', 'Microphone open', ''],
];

export class SessionLog {
  /** @type {Step[]} */
  steps = [];
  /** @type {Entry[]} */
  events = [];
  /** Called after each change. */
  onchange = () => {};
  #startedAt = 0;
  /** When the current event happened, since the click. */
  #ms = 0;
  #connected = false;
  #hasHandle = false;

  /**
   * @template {keyof LiveEvents} K @param {K} type @param {LiveEvents[K]} detail
   * @param {number} at  when it happened, epoch milliseconds
   */
  add(type, detail, at) {
    if (type === 'statechange' && /** @type {LiveEvents['statechange']} */ (detail).state === 'connecting') {
      this.#startedAt = at;
      this.steps = [];
    }
    this.#ms = Math.round(at - this.#startedAt);
    const tell = /** @type {((detail: LiveEvents[K]) => void) | undefined} */ (this.#tellers[type]);
    tell?.(detail);
    if (type !== 'diagnostics') {
      const text = JSON.stringify(redact(detail), null, 1) ?? '';
      push(this.events, { ms: this.#ms, type, text: text.slice(0, MOST_CHARACTERS) }, MOST_EVENTS);
    }
    this.onchange();
  }

  clear() {
    this.steps = [];
    this.events = [];
    this.onchange();
  }

  /** @param {string} title @param {string} [detail] @param {number} [ms] */
  #step(title, detail = '', ms = this.#ms) {
    // The library reports some steps late, with their time.
    const later = this.steps.findIndex((step) => step.ms > ms);
    this.steps.splice(later < 0 ? this.steps.length : later, 0, { ms, title, detail });
    if (this.steps.length > MOST_STEPS) this.steps.shift();
  }

  /** @type {{[K in keyof LiveEvents]?: (detail: LiveEvents[K]) => void}} */
  #tellers = {
    statechange: ({ state, error }) => {
      if (state === 'connecting') {
        this.#connected = this.#hasHandle = false;
        this.#step('Asked the broker for a token', 'POST /token, from a worker. The page never holds the token.');
      } else if (state === 'ended' || state === 'error') {
        this.#step(state === 'ended' ? 'Ended' : 'Failed', error ? describe(error) : 'The broker was told.');
      }
    },
    granted: (terms) => this.#step('Token granted', termsInWords(terms)),
    diagnostics: ({ steps }) => {
      if (this.#connected || steps.ready === undefined) return;
      this.#connected = true;
      for (const [mark, title, detail] of CONNECTED)
        if (steps[mark] !== undefined) this.#step(title, detail, steps[mark]);
    },
    message: ({ message }) => {
      const { sessionResumptionUpdate: update, goAway } = message;
      if (goAway)
        this.#step('The service announced the end of this connection', `In ${goAway.timeLeft ?? 'a moment'}.`);
      if (!update?.newHandle || this.#hasHandle) return;
      this.#hasHandle = true;
      this.#step('Handle kept', 'The conversation can be resumed on another connection.');
    },
    reconnecting: ({ attempt, reason }) => this.#step('Connection broke', `Attempt ${attempt}. ${reason}`),
    reconnected: ({ planned, resumed, seeded, gapMs }) => {
      const how = resumed ? 'Resumed with the handle' : seeded ? 'New session with the text so far' : 'New session';
      this.#step(planned ? 'Handed over to a new connection' : 'Reconnected', `${how}, after ${gapMs} ms.`);
      this.#hasHandle = resumed;
    },
    stalled: ({ step, waitedMs }) => this.#step('The model is silent', `For ${waitedMs} ms. Next: ${step}.`),
    emptyturn: ({ reason, detail, step }) => this.#step('Turn without an answer', `${detail} ${reason} Next: ${step}.`),
    contextlost: ({ seeded }) => this.#step('Context lost', seeded ? 'The text so far was sent again.' : ''),
    toolcall: ({ name }) => this.#step(`The model called ${name}`),
    network: ({ state }) => state !== 'ok' && this.#step(`Network: ${state}`),
  };
}

/** @template T @param {T[]} list @param {T} item @param {number} most */
function push(list, item, most) {
  list.push(item);
  if (list.length > most) list.shift();
}

/** @param {import('../live/index.js').LiveError} error */
function describe({ reason, code, detail }) {
  return `${code ?? reason}: ${String(redact(detail))}`;
}

/** One fact a line. @param {LiveEvents['granted']} terms */
function termsInWords({ profile, model, locked, limits, expires_in, connect_within }) {
  const { rate, sessions, minutes_per_day: minutes } = limits ?? {};
  const left = [
    ...(rate ?? []).map((/** @type {any} */ one) => `${one.remaining} requests of ${one.policy}`),
    sessions && `${sessions.limit - sessions.open} of ${sessions.limit} conversations at once`,
    minutes && `${Math.max(0, minutes.limit - minutes.used)} of ${minutes.limit} minutes today`,
  ].filter(Boolean);
  return [
    profile && `Profile ${profile}, ${model?.replace('models/', '')}.`,
    connect_within && `One connection, within ${connect_within} s.`,
    expires_in && `Valid for ${Math.round(expires_in / 60)} min.`,
    locked?.length && `Locked: ${locked.join(', ')}.`,
    left.length && `Left: ${left.join('; ')}.`,
  ]
    .filter(Boolean)
    .join('\n');
}

/** The page's log. */
export const log = new SessionLog();
