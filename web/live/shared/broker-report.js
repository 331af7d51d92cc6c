/**
 * What the broker receives of the figures of one start, for `POST /sessions/{id}/report`. session-run.js loads this
 * module when a token is granted. The figures come from diagnostics.js.
 */

/** @param {import('./diagnostics.js').Report} report @returns {Record<string, number>} the known figures as whole numbers */
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
  const known = Object.entries(figures).filter(([, value]) => typeof value === 'number' && value >= 0);
  return Object.fromEntries(known.map(([name, value]) => [name, Math.round(/** @type {number} */ (value))]));
}
