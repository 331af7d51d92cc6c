import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RecordingTap } from '../../../web/live/audio/recording-tap.js';
import { WavRecording } from '../../../web/live/media/wav-recording.js';

const START = 1_000_000;
const [USER, MODEL] = [16000, 24000];

/** Chunks of 100 ms as a worklet sends them. Audio starts at `from` ms; `late` delays each clock reading. */
function chunks(rate, from, seconds, { late = () => 0, frame = 0, value = 8000 } = {}) {
  const length = rate / 10;
  return Array.from({ length: seconds * 10 }, (_, n) => ({
    at: START + from + (n + 1) * 100 + late(n),
    frame: frame + n * length,
    samples: new Int16Array(length).fill(value),
  }));
}

/** Both sides of a WAV, and its bytes. */
async function read(wav) {
  const bytes = new DataView(await wav.arrayBuffer());
  const frames = (bytes.byteLength - 44) / 4;
  const side = (at) => Int16Array.from({ length: frames }, (_, n) => bytes.getInt16(44 + 4 * n + 2 * at, true));
  return { bytes, left: side(0), right: side(1) };
}

/** When a voice starts and ends, in milliseconds. */
const span = (samples) => {
  const loud = (x) => Math.abs(x) > 2000;
  return [samples.findIndex(loud), samples.findLastIndex(loud) + 1].map((n) => Math.round((n * 1000) / MODEL));
};

async function recorded({ user = [], model = [], delay = 0 }) {
  const recording = new WavRecording(START);
  for (const [voice, given] of [
    ['user', user],
    ['model', model],
  ])
    given.map(recording.stream(voice));
  return read(recording.toWav(delay));
}

test('both voices are at the time when they were heard, and gaps are silent', async () => {
  const { left, right, bytes } = await recorded({
    user: chunks(USER, 500, 1),
    model: chunks(MODEL, 2000, 1, { frame: 99 * 128, value: -12345 }),
  });
  // The filter from 16 to 24 kHz rings for two milliseconds.
  for (const [n, edge] of span(left).entries()) assert.ok(Math.abs(edge - [500, 1500][n]) <= 2, `${edge}`);
  assert.deepEqual(span(right), [2000, 3000]);
  assert.ok(right.slice(0, 2000 * 24).every((x) => x === 0));
  assert.ok(
    right.slice(2000 * 24, 3000 * 24).every((x) => x === -12345),
    'the model’s samples are unchanged',
  );
  assert.equal(String.fromCharCode(...new Uint8Array(bytes.buffer, 0, 4)), 'RIFF');
  assert.equal(bytes.getUint32(4, true), bytes.byteLength - 8);
  assert.equal(bytes.getUint32(24, true), MODEL);
  assert.equal(bytes.getUint32(40, true), bytes.byteLength - 44);
});

test('late clock readings on a busy machine do not move a voice', async () => {
  const late = (n) => (n % 7 === 0 ? 180 : n % 3) + (n < 4 ? 250 : 0);
  const { left, right } = await recorded({ user: chunks(USER, 0, 3, { late }), model: chunks(MODEL, 0, 3, { late }) });
  assert.deepEqual(
    span(left).map((ms) => Math.round(ms / 5)),
    [0, 600],
  );
  assert.deepEqual(span(right), [0, 3000]);
});

test('leaves a gap where the sample count stood still', async () => {
  const first = chunks(MODEL, 0, 3);
  const second = chunks(MODEL, 5000, 3, { frame: 3 * MODEL });
  const { right } = await recorded({ model: [...first, ...second] });
  assert.deepEqual(span(right), [0, 8000]);
  const gap = right.slice(3000 * 24, 5000 * 24).filter((x) => x === 0).length / 24;
  assert.ok(Math.abs(gap - 2000) < 1, `${gap}`);
});

test('includes the delay from the worklet to the ear', async () => {
  const { right } = await recorded({ model: chunks(MODEL, 100, 1), delay: 150 });
  assert.deepEqual(span(right), [250, 1250]);
});

test('an empty recording is a WAV file without audio', async () => {
  const { bytes } = await recorded({});
  assert.equal(bytes.byteLength, 44);
});

test('stops at the size limit and keeps the audio before it', () => {
  const take = new WavRecording(START).stream('model');
  const chunk = { at: START, frame: 0, samples: { byteLength: 2 ** 26, length: 2 ** 25 } };
  assert.deepEqual(
    [1, 2, 3].map(() => take(chunk)),
    [true, true, false],
  );
});

test('a tap sends chunks with their position, no chunk for silence, and nothing without a recorder', async () => {
  const { port1, port2 } = new MessageChannel();
  const given = [];
  port1.on('message', ({ frame, samples }) => given.push([frame, ...samples]));
  const tap = new RecordingTap(4);
  const [quiet, loud] = [new Float32Array(3), Float32Array.of(0.5, 0, -0.5)];
  tap.write(0, loud, 3);
  tap.sendTo(port2);
  tap.write(3, loud, 3);
  tap.write(6, loud, 2);
  tap.write(8, quiet, 3);
  tap.write(11, loud, 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
  tap.sendTo(null);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const [plus, minus] = [16384, -16384];
  assert.deepEqual(given, [
    [3, plus, 0, minus, plus],
    [7, 0],
    [11, plus],
  ]);
});
