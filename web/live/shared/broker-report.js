/**
 * What the broker receives of the figures of one start, for `POST /sessions/{id}/report`. session-run.js loads this
 * module when a token is granted. The figures come from diagnostics.js.
 */

/** The broker refuses a report with a greater figure. @type {[RegExp, number][]} */
const LIMITS = [
  [/_ms$/, 3_600_000],
  [/_tokens$/, 1_000_000_000],
  [/_rate$/, 768_000],
  [/_seconds$/, 86_400],
  [/./, 1_000_000],
];

/** The figure is possible. A clock that was set, or a device that slept, makes others. @param {string} name @param {unknown} value */
const plausible = (name, value) =>
  typeof value === 'number' && value >= 0 && value <= (LIMITS.find(([names]) => names.test(name))?.[1] ?? 0);

/** What the network found out, and what the person should know. @type {Record<string, import('./errors.js').LiveErrorFields>} */
export const WARNINGS = {
  'end-lost': {
    reason: 'network',
    code: 'end-lost',
    detail: 'The broker was not told that the conversation has ended.',
    hint: 'It counts until it expires by itself.',
  },
  'heartbeats-lost': {
    reason: 'network',
    code: 'heartbeats-lost',
    detail: 'The broker does not hear that the conversation goes on. It may end soon.',
    hint: 'Something in between, such as a content blocker, may block the requests.',
  },
};

/** @param {import('./diagnostics.js').Report} report @returns {Record<string, number>} the possible figures as whole numbers */
export function brokerReport({ steps, turns, playback, capture, line, tokens, usage }) {
  const { granted, opened, ready } = steps;
  const { inputBy = {}, outputBy = {}, cached, thoughts, toolPrompts } = usage?.total ?? {};
  const figures = {
    first_audio_ms: steps.sound,
    speech_end_to_audio_ms: turns.speechEndToSoundMs,
    interrupt_to_silence_ms: turns.interruptedToSilenceMs,
    token_ms: granted,
    socket_ms: opened && granted && opened - granted,
    setup_ms: ready && opened && ready - opened,
    underruns: playback.underruns,
    dropped_chunks: capture.droppedChunks,
    reconnects: line.reconnects,
    input_rate: capture.sampleRate,
    output_rate: playback.sampleRate,
    played_seconds: playback.playedSeconds,
    input_tokens: tokens.input,
    output_tokens: tokens.output,
    total_tokens: tokens.total,
    input_text_tokens: inputBy.text,
    input_audio_tokens: inputBy.audio,
    input_image_tokens: inputBy.image,
    input_video_tokens: inputBy.video,
    output_text_tokens: outputBy.text,
    output_audio_tokens: outputBy.audio,
    cached_tokens: cached,
    thought_tokens: thoughts,
    tool_prompt_tokens: toolPrompts,
  };
  const known = Object.entries(figures).filter(([name, value]) => plausible(name, value));
  return Object.fromEntries(known.map(([name, value]) => [name, Math.round(/** @type {number} */ (value))]));
}
