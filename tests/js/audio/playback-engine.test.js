import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PlaybackEngine } from '../../../web/live/audio/playback-engine.js';

const QUANTUM = 128;
const MS = 24;
const ramp = (length, from = 1) => Int16Array.from({ length }, (_, i) => ((from + i) % 20000) + 1);
const level = (length, value = 32767) => new Int16Array(length).fill(value);

/** An engine with its events and the samples that it played. */
function engine() {
  const events = [];
  const inner = new PlaybackEngine((event) => events.push(event));
  const heard = [];
  return {
    events,
    inner,
    heard,
    types: () => events.map((event) => event.type),
    /** Renders blocks for this time. */
    run(ms) {
      const out = new Float32Array(QUANTUM);
      for (let at = 0; at < ms * MS; at += QUANTUM) {
        inner.render(out);
        heard.push(...out);
      }
    },
    sound() {
      const first = heard.findIndex((x) => x !== 0);
      const last = heard.findLastIndex((x) => x !== 0);
      return first < 0 ? [] : heard.slice(first, last + 1);
    },
  };
}

const largestStep = (samples) =>
  samples.reduce((most, x, i) => Math.max(most, i ? Math.abs(x - samples[i - 1]) : 0), 0);
const floats = (samples) => Array.from(samples, (x) => x / 32768);

test('plays a turn that arrives faster than it plays sample for sample', () => {
  const e = engine();
  const sent = ramp(24000);
  for (let at = 0; at < sent.length; at += 960) {
    e.inner.push(sent.slice(at, at + 960), 1, 0);
    e.run(5);
  }
  e.inner.finish(1);
  e.run(1200);
  assert.deepEqual(e.sound(), floats(sent));
  assert.deepEqual(e.types(), ['started', 'drained']);
  assert.equal(e.inner.played, 24000);
});

test('starts after 60 ms of audio, at the end of the turn, or after 120 ms', () => {
  const early = engine();
  early.inner.push(level(59 * MS), 1, 0);
  early.run(20);
  assert.deepEqual(early.types(), []);
  early.inner.push(level(1 * MS), 1, 0);
  early.run(6);
  assert.deepEqual(early.types(), ['started']);

  const short = engine();
  short.inner.push(level(10 * MS), 1, 0);
  short.inner.finish(1);
  short.run(20);
  assert.deepEqual(short.types(), ['started', 'drained']);

  const slow = engine();
  slow.inner.push(level(30 * MS), 1, 0);
  slow.run(110);
  assert.deepEqual(slow.types(), []);
  slow.run(20);
  assert.deepEqual(slow.types(), ['started']);
});

test('fades out and in at an underrun, without a step, and raises the threshold by 40 ms', () => {
  const e = engine();
  e.inner.push(level(100 * MS), 1, 0);
  e.run(200);
  assert.deepEqual(e.types(), ['started', 'underrun']);
  e.inner.push(level(99 * MS), 1, 0);
  e.run(20);
  assert.equal(e.heard.at(-1), 0, 'it now waits for 100 ms');
  e.inner.push(level(200 * MS), 1, 0);
  e.inner.finish(1);
  e.run(400);
  const start = e.heard.findIndex((x) => x !== 0);
  const end = e.heard.findLastIndex((x) => x !== 0);
  assert.ok(largestStep(e.heard.slice(start, end)) < 0.0085, 'full scale in 120 samples');
  assert.deepEqual(e.types(), ['started', 'underrun', 'drained']);
});

test('a cut is silent after 5 ms, has no step and reports how much was played', () => {
  const e = engine();
  e.inner.push(level(24000), 7, 0);
  e.run(100);
  const before = e.heard.length;
  e.inner.cut(7, 1234);
  e.run(50);
  const after = e.heard.slice(before - 1);
  assert.ok(largestStep(after) < 0.0085);
  assert.ok(after.findLastIndex((x) => x !== 0) <= 120);
  const silent = e.events.at(-1);
  assert.deepEqual([silent.type, silent.turn, silent.receivedAt], ['silent', 7, 1234]);
  assert.equal(silent.played, before + 120);
});

test('plays the next answer from its first sample after a cut', () => {
  const e = engine();
  e.inner.push(level(24000), 1, 0);
  e.run(100);
  e.inner.cut(1, 0);
  const sent = ramp(12000);
  const from = e.heard.length;
  e.inner.push(sent, 2, 0);
  e.inner.finish(2);
  e.run(600);
  // The fade of the old answer overlaps the first 5 ms.
  assert.deepEqual(e.heard.slice(from + 120, from + 12000), floats(sent.slice(120)));
  assert.deepEqual(e.types(), ['started', 'started', 'silent', 'drained']);
});

test('a cut before playback is silent at once and drops the queued audio', () => {
  const e = engine();
  e.inner.push(level(20 * MS), 1, 0);
  e.inner.cut(1, 5);
  e.run(200);
  assert.deepEqual(e.sound(), []);
  assert.deepEqual(e.types(), ['silent']);
});

test('keeps queued turns complete and separate', () => {
  const e = engine();
  const [one, two] = [ramp(4000), ramp(4000, 9000)];
  e.inner.push(one, 1, 0);
  e.inner.finish(1);
  e.inner.push(two, 2, 0);
  e.inner.finish(2);
  e.run(500);
  assert.deepEqual(e.sound(), floats([...one, ...two]));
  assert.deepEqual(
    e.events.map(({ type, turn }) => `${type} ${turn}`),
    ['started 1', 'drained 1', 'started 2', 'drained 2'],
  );
});

test('reports the end of a turn after an underrun', () => {
  const e = engine();
  e.inner.push(level(80 * MS), 1, 0);
  e.run(200);
  e.inner.finish(1);
  e.run(20);
  assert.deepEqual(e.types(), ['started', 'underrun', 'drained']);
});

test('drops and counts audio that exceeds the memory limit', () => {
  const e = engine();
  for (let second = 0; second < 176; second++) e.inner.push(level(24000), 1, 0);
  const dropped = e.events.filter(({ type }) => type === 'dropped').reduce((sum, { samples }) => sum + samples, 0);
  assert.equal(dropped, 176 * 24000 - 2 ** 22);
});

/** Repeatable numbers from 0 to 1. */
function random(seed) {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

test('40 ms chunks up to 120 ms late cause at most one short pause; all other samples stay exact', () => {
  const pauses = [];
  for (let seed = 1; seed <= 60; seed++) {
    const next = random(seed);
    const e = engine();
    const sent = ramp(250 * 40 * MS);
    let arrives = 0;
    // The first chunk is punctual.
    const times = Array.from({ length: 250 }, (_, k) => (arrives = Math.max(arrives, 40 * k + (k && 120 * next()))));
    // A device takes 10 ms at a time, and the delay from the network to it varies.
    for (let now = 0, chunk = 0; chunk < times.length; now += 10) {
      for (; times[chunk] <= now - 10 * next(); chunk++)
        e.inner.push(sent.slice(chunk * 40 * MS, (chunk + 1) * 40 * MS), 1, 0);
      e.run(now + 10 - e.heard.length / MS);
    }
    e.inner.finish(1);
    e.run(1000);
    const underruns = e.types().filter((type) => type === 'underrun').length;
    const changed = unlike(e.sound(), floats(sent));
    if (underruns) pauses.push(e.sound().length - sent.length);
    assert.ok(underruns <= 1 && changed <= underruns * 242, `seed ${seed}: ${underruns} underruns, ${changed} samples`);
  }
  assert.ok(pauses.length > 10, 'late enough to cause underruns');
  const median = pauses.sort((a, b) => a - b)[pauses.length >> 1];
  assert.ok(median <= 70 * MS, `a pause of ${median / MS} ms`);
});

/** Counts the samples around a hole: those that differ from the sent ones when compared from both ends. */
function unlike(heard, sent) {
  let [first, last] = [0, 0];
  while (first < sent.length && heard[first] === sent[first]) first++;
  while (last < sent.length - first && heard.at(-1 - last) === sent.at(-1 - last)) last++;
  return sent.length - first - last;
}

test('audio that arrives during a fade-out waits for more and is played completely', () => {
  const e = engine();
  e.inner.push(level(81 * MS), 1, 0);
  e.run(80);
  for (let chunk = 0; chunk < 10; chunk++) {
    e.inner.push(level(8 * QUANTUM), 1, 0);
    e.run((8 * QUANTUM) / MS);
  }
  e.inner.finish(1);
  e.run(500);
  assert.deepEqual(e.types(), ['started', 'underrun', 'drained'], 'one pause and no dip before each chunk');
  assert.equal(e.inner.played, 81 * MS + 80 * QUANTUM);
  assert.ok(largestStep(e.sound()) < 0.0085);
});

test('a few late samples wait for the end of the turn', () => {
  const e = engine();
  e.inner.push(level(81 * MS), 1, 0);
  e.run(80);
  e.inner.push(level(100), 1, 0);
  e.run(5000);
  assert.deepEqual(e.types(), ['started', 'underrun']);
  e.inner.finish(1);
  e.run(50);
  assert.deepEqual(e.types(), ['started', 'underrun', 'drained']);
  assert.equal(e.inner.played, 81 * MS + 100);
});

test('a turn whose end is never marked is over after eight seconds without audio, and more of it is heard', () => {
  const e = engine();
  e.inner.push(level(81 * MS), 1, 0);
  e.run(80);
  e.inner.push(level(100), 1, 0);
  e.run(7500);
  assert.deepEqual(e.types(), ['started', 'underrun']);
  e.run(800);
  assert.deepEqual(e.types(), ['started', 'underrun', 'drained']);
  assert.equal(e.inner.played, 81 * MS + 100, 'the rest is played');
  e.inner.push(level(200 * MS), 1, 0);
  e.run(100);
  assert.equal(e.types().at(-1), 'started');
});

test('plays 30 s that arrive within about a second sample for sample', () => {
  const e = engine();
  const sent = ramp(30 * 24000);
  for (let at = 0; at < sent.length; at += 960) {
    e.inner.push(sent.slice(at, at + 960), 1, 0);
    if (at % 28800 === 0) e.run(40);
  }
  e.inner.finish(1);
  const out = new Float32Array(QUANTUM);
  let checked = e.heard.length;
  const first = e.heard.findIndex((x) => x !== 0);
  assert.deepEqual(e.heard.slice(first), floats(sent.subarray(0, checked - first)));
  for (; e.types().at(-1) !== 'drained'; checked += QUANTUM) {
    e.inner.render(out);
    for (let i = 0; i < QUANTUM; i++) {
      const wanted = sent[checked + i - first] ?? 0;
      if (out[i] !== wanted / 32768) assert.fail(`sample ${checked + i - first}: ${out[i]} for ${wanted / 32768}`);
    }
  }
  assert.deepEqual(e.types(), ['started', 'drained']);
});

test('ignores audio of a turn after its cut', () => {
  const e = engine();
  e.inner.push(level(24000), 3, 0);
  e.run(100);
  e.inner.cut(3, 0);
  e.run(50);
  const from = e.heard.length;
  e.inner.push(level(24000), 3, 0);
  e.run(200);
  assert.ok(e.heard.slice(from).every((x) => x === 0));
});

test('a second cut during the fade of the first has no step either', () => {
  const e = engine();
  e.inner.push(level(24000), 1, 0);
  e.run(100);
  e.inner.cut(1, 0);
  const out = new Float32Array(24);
  const heard = [e.heard.at(-1)];
  const render = () => {
    e.inner.render(out);
    heard.push(...out);
  };
  render();
  e.inner.push(level(24000, 0), 2, 0);
  render();
  e.inner.cut(2, 0);
  for (let i = 0; i < 10; i++) render();
  assert.ok(largestStep(heard) < 0.0085, `a step of ${largestStep(heard)}`);
  assert.equal(heard.at(-1), 0);
});

test('a second cut of the same turn changes nothing', () => {
  const e = engine();
  e.inner.push(level(4800), 1, 0);
  e.run(100);
  e.inner.cut(1, 5);
  e.run(10);
  const silentFrom = e.heard.length;
  e.inner.push(level(4800), 1, 0); // the rest of the turn
  e.inner.push(ramp(4800), 2, 0);
  e.inner.cut(1, 6);
  e.inner.finish(2);
  e.run(300);
  assert.deepEqual(e.types(), ['started', 'silent', 'started', 'drained']);
  assert.deepEqual(
    e.heard.slice(silentFrom).filter((x) => x !== 0),
    floats(ramp(4800)),
  );
});
