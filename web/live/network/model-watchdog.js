/**
 * Decides whether the model owes the user an answer, and for how long it may be silent. Takes the time as an argument.
 * Leaves to answer-keeper.js what follows, and a connection that is silent as a whole to watchdog.js.
 *
 * Resumption updates, token counts and transcripts of the user are no answer: a model that never answers still sends
 * them. A thought and a search only extend the wait. While a function runs, or while the service reports that it still
 * works, nothing is owed. docs/decisions/0042-a-silent-model.md explains what counts as speech.
 */
import { patienceMs, rulesFor } from '../shared/model-rules.js';

/** @typedef {import('../shared/protocol.js').ServerFact} ServerFact */
/**
 * What has no answer yet. `sure`: the user wrote it or pressed a button, or the service acknowledged the speech.
 * Otherwise the sound may have been noise. `message` and `typed` are those of a text.
 * @typedef {{kind: 'text' | 'speech' | 'tool', sure: boolean, message?: Record<string, any>, typed?: number}} Question
 */

/** The bound follows the answers: this many of the newest count, the longest of them not, because it may be a stall. */
const NEWEST = 8;
const FEWEST = 3;
const TIMES_LATENCY = 4;
/** After late answers the bound is half as long again. */
const GROWTH = 1.5 / TIMES_LATENCY;
/** The bound is never less than a third of the model's own, and never more than three times as long. */
const RANGE = 3;
/** A user who was loud so recently is still speaking. */
const QUIET_MS = 1500;
/** What only the model sends. */
const CONTENT = /^(audio|modelText|outputText|toolCall|grounding)$/;
/** Base64 characters of one millisecond of audio: 24 kHz, 16 bit. */
const CHARACTERS_PER_MS = 64;

export class ModelWatchdog {
  /** @type {Question | null} */
  question = null;
  /** How many steps were taken since the model last answered. */
  #steps = 0;
  #patienceMs = 0;
  /** Whether the setup has words for speech. Then speech without words is noise. */
  #transcribed = false;
  /** The newest answers took so long, milliseconds. @type {number[]} */
  #latencies = [];
  #askedAt = 0;
  /** Since when the answer is owed. */
  #since = 0;
  /** When the model last answered, or a question was given up. */
  #settledAt = 0;
  /** The answer before this question: the service has not ended it, or has interrupted it. @type {'' | 'open' | 'interrupted'} */
  #earlier = '';
  /** The service has begun a turn and not ended it. */
  #open = false;
  #thought = false;
  /** When the received audio is over if it plays from its arrival. */
  #audibleUntil = 0;
  /** The service reports that it still works. */
  #working = false;
  /** Functions that run. @type {Set<string>} */
  #calls = new Set();

  /** Models that only translate or transcribe answer nothing and are not watched. @param {Record<string, any>} [setup] */
  granted(setup) {
    this.#patienceMs = rulesFor(setup?.model).content ? patienceMs(setup) : 0;
    this.#transcribed = !!setup?.inputAudioTranscription;
  }

  /** How long the model may be silent, milliseconds. */
  get boundMs() {
    const newest = [...this.#latencies].sort((a, b) => b - a);
    if (newest.length < FEWEST) return this.#patienceMs;
    const learned = newest[1] * TIMES_LATENCY;
    return Math.min(Math.max(learned, this.#patienceMs / RANGE), this.#patienceMs * RANGE);
  }

  /** @param {Question} question the same `message` again is the same question @param {number} now */
  asked(question, now) {
    this.#since = now;
    if (!this.#patienceMs || (question.message && question.message === this.question?.message)) return;
    this.question = question;
    this.#askedAt = now;
    this.#thought = false;
    if (this.#open) this.#earlier = 'open';
  }

  /** Results of functions were sent. @param {Record<string, any>[]} responses @param {number} now */
  responded(responses, now) {
    for (const { id, willContinue } of responses) if (!willContinue) this.#calls.delete(id);
    const wanted = responses.some(({ scheduling }) => scheduling !== 'SILENT');
    if (wanted && this.#calls.size === 0) this.asked({ kind: 'tool', sure: true }, now);
  }

  /**
   * @param {ServerFact} fact @param {number} now @param {number} loudAt when the microphone was last loud
   * @returns {boolean} whether the service has ended a turn that is no answer
   */
  observe(fact, now, loudAt) {
    if (fact.type === 'toolCall') for (const { id } of fact.calls) this.#calls.add(id);
    else if (fact.type === 'toolCallCancellation') for (const id of fact.ids) this.#calls.delete(id);
    else if (fact.type === 'interactionStatus') this.#works(fact.status === 'IN_PROGRESS', now);
    else if (fact.type === 'voiceActivity') this.heard(!fact.active && !this.#transcribed, now, loudAt);
    else if (fact.type === 'inputText') this.heard(true, now, loudAt);
    else if (fact.type === 'waitingForInput') this.forget(now);
    else if (fact.type === 'interrupted') this.#close('interrupted');
    else if (fact.type === 'turnComplete') return this.#ended(now);
    if (CONTENT.test(fact.type)) this.#answered(fact, now, loudAt);
    return false;
  }

  /**
   * The user's speech is over, or the service has heard a part of it. A transcript may also come after the answer.
   * @param {boolean} sure @param {number} now @param {number} loudAt
   */
  heard(sure, now, loudAt) {
    this.#since = now;
    if (!sure || loudAt <= this.#settledAt) return;
    if (!this.question) this.asked({ kind: 'speech', sure }, now);
    else this.question.sure = true;
  }

  /** @param {ServerFact} fact @param {number} now @param {number} loudAt */
  #answered(fact, now, loudAt) {
    this.#since = now;
    if (fact.type === 'grounding' || (fact.type === 'modelText' && fact.thought)) {
      this.#thought = true;
      return;
    }
    this.#open = true;
    if (fact.type === 'audio') {
      this.#audibleUntil = Math.max(this.#audibleUntil, now) + fact.data.length / CHARACTERS_PER_MS;
    }
    if (this.question && this.#earlier === 'open') return;
    if (this.question) {
      const latency = now - this.#endOfTurn(loudAt);
      // It was late because it was lost, or because the service is slow. So the bound grows, but slowly.
      this.#latencies.push(this.#steps ? Math.min(latency, this.boundMs * GROWTH) : latency);
      if (this.#latencies.length > NEWEST) this.#latencies.shift();
    }
    this.#earlier = '';
    this.forget(now);
  }

  /** @param {boolean} working @param {number} now */
  #works(working, now) {
    this.#working = working;
    this.#since = now;
  }

  /** The service's turn is over. @param {'' | 'interrupted'} earlier */
  #close(earlier) {
    this.#earlier = earlier;
    this.#open = false;
  }

  /** @param {number} now */
  #ended(now) {
    const earlier = this.#earlier;
    this.#close('');
    this.#since = now;
    if (earlier || !this.question || this.#working || this.#calls.size > 0) return false;
    const empty = this.question.sure && !this.#thought;
    if (!empty) this.forget(now);
    return empty;
  }

  /** The question is answered or given up. @param {number} now */
  forget(now) {
    this.question = null;
    this.#steps = 0;
    this.#settledAt = now;
  }

  /** The next step begins. Returns how many came before it. @param {number} now */
  step(now) {
    this.#since = now;
    this.#steps += 1;
    return this.#steps - 1;
  }

  /** There is another connection. @param {number} now */
  reconnected(now) {
    this.#close('');
    this.#works(false, now);
    this.#calls.clear();
  }

  /** How long the question has waited, milliseconds. @param {number} now @param {number} loudAt */
  waitedMs(now, loudAt) {
    return Math.round(now - this.#endOfTurn(loudAt));
  }

  /** When the user's turn was over. @param {number} loudAt */
  #endOfTurn(loudAt) {
    return this.question?.kind === 'speech' ? loudAt : this.#askedAt;
  }

  /** Whether the model has been silent for too long. @param {number} now @param {number} loudAt */
  overdue(now, loudAt) {
    if (!this.question && loudAt > this.#settledAt) this.asked({ kind: 'speech', sure: false }, loudAt);
    if (!this.question || this.#working || this.#calls.size > 0) return false;
    const bound = this.boundMs;
    let since = this.#since;
    if (this.#earlier === 'open') since = Math.max(since, this.#audibleUntil);
    if (this.question.kind === 'speech') since = Math.max(since, loudAt);
    // The answer to a text waits while the user speaks, but no noise delays it for ever.
    else if (now - loudAt < QUIET_MS && now - since < RANGE * bound) return false;
    return now - since >= bound;
  }
}
