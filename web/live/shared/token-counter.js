/**
 * Counts tokens by direction and modality, from the service's usageMetadata. diagnostics.js loads this module with the
 * first of them.
 *
 * The service counts each turn alone, and the whole context again with each. No source says what several usageMetadata
 * in one turn mean: each may count the turn so far, or only what it adds. Both readings are kept, and the rule of
 * decision 0041 chooses one for all turns of the start.
 */

/**
 * `inputBy` and `outputBy` count by modality (`text`, `audio`, `image`, …). The service's modalities need not sum to
 * `input` and `output`. `cached` is a part of `input`.
 * @typedef {object} Tokens
 * @property {number} input
 * @property {Record<string, number>} inputBy
 * @property {number} output
 * @property {Record<string, number>} outputBy
 * @property {number} cached
 * @property {number} thoughts
 * @property {number} toolPrompts results of the service's own tools, given to the model
 * @property {number} total as the service sums them up
 */
/**
 * `reading`: what several usageMetadata of one turn were taken for; `single`: there was only one per turn.
 * @typedef {{reading: 'single' | 'cumulative' | 'per-message', turn: Tokens & {number: number}, total: Tokens}} TokenCounts
 */
/** @typedef {{usage: Record<string, any>, turn: number, seconds: number}} UsageMessage `seconds` of the turn's audio so far */

/** What a second of audio weighs, in both directions. */
const TOKENS_PER_SECOND = 25;

export class TokenCounter {
  /** The turns before the current one, by both readings. */
  #before = { cumulative: none(), perMessage: none() };
  /** The current turn, by both readings. */
  #turn = { cumulative: none(), perMessage: none() };
  #number = 0;
  /** The latest usageMetadata of the current turn. @type {Tokens | null} */
  #latest = null;
  #seconds = 0;
  #several = false;
  /** A count fell within a turn, so it was not the turn so far. */
  #fell = false;
  /** How far each reading is from what the audio weighs, in turns with several usageMetadata. */
  #distance = { cumulative: 0, perMessage: 0 };

  /** @param {UsageMessage[]} messages @returns {{usage: TokenCounts, tokens: {input: number, output: number, total: number}}} */
  count(messages) {
    for (const message of messages) this.#add(message);
    const usage = this.#counts();
    const { input, output, total } = usage.total;
    return { usage, tokens: { input, output, total } };
  }

  /** @param {UsageMessage} message */
  #add({ usage, turn, seconds }) {
    if (turn !== this.#number) this.#startTurn(turn);
    const counted = read(usage);
    const latest = this.#latest;
    if (latest) {
      this.#several = true;
      this.#fell ||= counted.input < latest.input || counted.output < latest.output;
    }
    this.#turn.cumulative = counted;
    // An input that is reported again is not another input.
    const again = !!latest && latest.input > 0 && counted.input === latest.input;
    this.#turn.perMessage = sum(this.#turn.perMessage, again ? withoutInput(counted) : counted);
    this.#latest = counted;
    this.#seconds = seconds;
  }

  /** @returns {TokenCounts} copies */
  #counts() {
    const reading = this.#reading;
    const key = reading === 'per-message' ? 'perMessage' : 'cumulative';
    return {
      reading,
      turn: { number: this.#number, ...sum(none(), this.#turn[key]) },
      total: sum(this.#before[key], this.#turn[key]),
    };
  }

  /** @returns {TokenCounts['reading']} */
  get #reading() {
    if (!this.#several) return 'single';
    const { cumulative, perMessage } = this.#distances();
    return this.#fell || perMessage < cumulative ? 'per-message' : 'cumulative';
  }

  #distances() {
    const { cumulative, perMessage } = this.#turn;
    const weight = this.#seconds * TOKENS_PER_SECOND;
    // Where both readings agree they are as far away, and a turn without audio says nothing.
    const far = (/** @type {Tokens} */ tokens) => (weight ? Math.abs(tokens.output - weight) : 0);
    return {
      cumulative: this.#distance.cumulative + far(cumulative),
      perMessage: this.#distance.perMessage + far(perMessage),
    };
  }

  /** @param {number} turn */
  #startTurn(turn) {
    this.#distance = this.#distances();
    const { cumulative, perMessage } = this.#turn;
    this.#before = {
      cumulative: sum(this.#before.cumulative, cumulative),
      perMessage: sum(this.#before.perMessage, perMessage),
    };
    this.#turn = { cumulative: none(), perMessage: none() };
    this.#number = turn;
    this.#latest = null;
  }
}

/** @returns {Tokens} */
const none = () => read({});

/** @param {Record<string, any>} usage @returns {Tokens} */
function read(usage) {
  return {
    input: number(usage.promptTokenCount),
    inputBy: byModality(usage.promptTokensDetails),
    output: number(usage.responseTokenCount),
    outputBy: byModality(usage.responseTokensDetails),
    cached: number(usage.cachedContentTokenCount),
    thoughts: number(usage.thoughtsTokenCount),
    toolPrompts: number(usage.toolUsePromptTokenCount),
    total: number(usage.totalTokenCount),
  };
}

/** A count that cannot be one counts as nothing. @param {unknown} count @returns {number} */
const number = (count) => (Number.isSafeInteger(count) && Number(count) > 0 ? Number(count) : 0);

/** @param {unknown} details */
function byModality(details) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const item of Array.isArray(details) ? details : []) {
    const { modality, tokenCount } = item ?? {};
    const name = typeof modality === 'string' ? modality.toLowerCase() : 'other';
    counts[name] = (counts[name] ?? 0) + number(tokenCount);
  }
  return counts;
}

/** @param {Tokens} tokens @returns {Tokens} */
const withoutInput = (tokens) => ({
  ...tokens,
  input: 0,
  inputBy: {},
  cached: 0,
  total: Math.max(0, tokens.total - tokens.input),
});

/** @param {Tokens} a @param {Tokens} b @returns {Tokens} a new object */
function sum(a, b) {
  return {
    input: a.input + b.input,
    inputBy: sumBy(a.inputBy, b.inputBy),
    output: a.output + b.output,
    outputBy: sumBy(a.outputBy, b.outputBy),
    cached: a.cached + b.cached,
    thoughts: a.thoughts + b.thoughts,
    toolPrompts: a.toolPrompts + b.toolPrompts,
    total: a.total + b.total,
  };
}

/** @param {Record<string, number>} a @param {Record<string, number>} b */
function sumBy(a, b) {
  const counts = { ...a };
  for (const [name, count] of Object.entries(b)) counts[name] = (counts[name] ?? 0) + count;
  return counts;
}
