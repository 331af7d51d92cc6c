/** Memory and samples after an hour of talk, run as fast as the machine can. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { PlaybackEngine } from '../../web/live/audio/playback-engine.js';
import { VoiceDecoder } from '../../web/live/network/voice-decoder.js';
import { Resampler } from '../../web/live/shared/resampler.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');
const QUANTUM = 128;

/** Bytes in use, including buffers outside the heap, which the engine releases a little later. */
async function used() {
  for (let round = 0; round < 3; round++) {
    gc();
    await setTimeout(50);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test('an hour of answers grows the memory by less than 2 MB', async () => {
  const decoder = new VoiceDecoder();
  let played = 0;
  const engine = new PlaybackEngine((event) => (played += event.type === 'started' ? 1 : 0));
  const block = new Float32Array(QUANTUM);
  const data = Buffer.from(Int16Array.from({ length: 960 }, (_, i) => 5000 + i).buffer).toString('base64');
  /** Plays an answer of 6 s in chunks of 40 ms. */
  const answer = (turn) => {
    for (let i = 0; i < 150; i++) engine.push(decoder.decode(data, 'audio/pcm;rate=24000').samples, turn, 0);
    engine.finish(turn);
    for (let at = 0; at < 6.5 * 24000; at += QUANTUM) engine.render(block);
  };
  for (let turn = 1; turn <= 20; turn++) answer(turn);
  const before = await used();
  for (let turn = 21; turn <= 620; turn++) answer(turn);
  const grown = (await used()) - before;
  assert.equal(played, 620);
  assert.ok(grown < 2e6, `${grown} bytes`);
});

for (const rate of [48000, 44100]) {
  test(`resamples ten minutes of microphone at ${rate} Hz without losing a sample`, () => {
    const resampler = new Resampler(rate, 16000);
    const input = new Float32Array(QUANTUM);
    const out = new Float32Array(resampler.maxOutput(QUANTUM));
    const after = (seconds) => {
      let [given, got] = [0, 0];
      for (; given + QUANTUM <= seconds * rate; given += QUANTUM) got += resampler.process(input, out);
      return (given * 16000) / rate - got;
    };
    const first = after(1); // the samples that the filter holds back
    const rest = after(600);
    assert.ok(Math.abs(first) < 50, `${first}`);
    assert.ok(Math.abs(rest) <= 1, `${rest} samples of drift`);
  });
}
