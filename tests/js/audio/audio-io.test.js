/** The audio side against a browser that behaves as phones, headsets and engines do (audio-fakes.js). */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AudioIO } from '../../../web/live/audio/audio-io.js';
import { listDevices } from '../../../web/live/audio/devices.js';
import '../../../web/live/audio/echo-detector.js'; // which an audio side fetches when the model is first interrupted
import '../../../web/live/shared/error-sentences.js'; // and this with the first refusal
import { breathe, FakeContext, installBrowser, pass, RoutedContext } from '../audio-fakes.js';

/** An audio side that is up, and what it said. */
async function up(t, { choices = {}, Context, microphone = true, before = () => {} } = {}) {
  const browser = installBrowser(t, { Context });
  before(browser);
  const events = [];
  const commands = [];
  const failures = [];
  const audio = new AudioIO(
    { muted: false, volume: 1, ...choices },
    {
      emit: (type, detail) => events.push({ type, ...detail }),
      post: (command) => commands.push(command),
      failed: (error) => failures.push(error),
    },
  );
  audio.resume(microphone);
  const channels = [new MessageChannel(), new MessageChannel()];
  await audio.openSpeaker(channels[0].port1);
  if (microphone) await audio.openMic(channels[1].port1);
  await pass(t, 1000);
  t.after(() => {
    audio.close();
    for (const port of channels.flatMap(({ port1, port2 }) => [port1, port2])) port.close();
    for (const port of commands.flatMap(({ playback, capture }) => [playback, capture])) port?.close();
  });
  const [playing, capturing] = [browser.contexts.find(({ sampleRate }) => sampleRate === 24000), browser.contexts[0]];
  return {
    audio,
    browser,
    commands,
    events,
    failures,
    playing,
    capturing,
    device: () =>
      events
        .filter(({ type }) => type === 'device')
        .map(({ kind, reason, label }) => `${kind} ${reason} ${label}`.trim()),
    told: () =>
      commands.map(({ type, muted, active }) =>
        type === 'mute' ? muted : type === 'activity' ? `active ${active}` : type,
      ),
    source: () => browser.contexts.flatMap(({ sources }) => sources).findLast(({ connected }) => connected),
  };
}

const headset = { kind: 'audioinput', deviceId: 'headset', label: 'Headset', rate: 48000 };

test('a microphone that is pulled out is replaced by the next one, under the same constraints and on the same worklet', async (t) => {
  const { audio, browser, commands, device, source, failures } = await up(t, {
    choices: { deviceId: 'headset' },
    before: (b) => b.devices.unshift(headset),
  });
  assert.equal(browser.track.label, 'Headset');
  const node = browser.node('live-capture');
  browser.unplug('headset');
  await pass(t, 0);
  assert.equal(browser.track.label, 'Built-in microphone');
  const [first, , last] = browser.wishes;
  assert.deepEqual({ ...first, deviceId: undefined }, { ...last, deviceId: undefined });
  assert.equal(source().connected, node, 'only the source is new');
  assert.deepEqual(device(), ['microphone lost Headset', 'microphone changed Built-in microphone']);
  assert.deepEqual([commands, failures], [[], []]);
  assert.equal(audio.settings.echoCancellation, true);
});

test('without any microphone left it waits for one to be plugged in', async (t) => {
  const { browser, device, failures } = await up(t);
  browser.unplug('built-in');
  await pass(t, 1000);
  assert.deepEqual(device(), ['microphone lost Built-in microphone']);
  browser.plug(headset);
  await pass(t, 1000);
  assert.equal(browser.track.label, 'Headset');
  assert.equal(browser.track.readyState, 'live');
  assert.equal(device().at(-1), 'microphone changed Headset');
  assert.deepEqual(failures, []);
});

test('a permission that is taken away ends it', async (t) => {
  const { browser, failures } = await up(t);
  browser.refuses = 'NotAllowedError';
  browser.track.end();
  await breathe();
  assert.deepEqual(
    failures.map(({ reason }) => reason),
    ['permission-denied'],
  );
});

test('Firefox: the next microphone of another rate gets a context of that rate', async (t) => {
  const { browser, commands, source, failures } = await up(t, { before: () => (FakeContext.firefox = true) });
  const before = browser.node('live-capture');
  FakeContext.hardwareRate = 44100;
  browser.plug({ ...headset, rate: 44100 });
  browser.unplug('built-in');
  await pass(t, 1000);
  assert.notEqual(browser.node('live-capture'), before);
  assert.equal(source().connected, browser.node('live-capture'));
  assert.equal(source().connected.context.sampleRate, 44100);
  assert.equal(before.context.state, 'closed');
  assert.deepEqual(
    commands.map(({ type, capture }) => [type, capture instanceof MessagePort]),
    [['ports', true]],
  );
  assert.deepEqual(failures, []);
});

test('Bluetooth: a headset that changes its rate a moment later is read again and captured anew', async (t) => {
  const { browser, commands, device, audio } = await up(t);
  browser.changed();
  await pass(t, 500);
  browser.track.device.rate = 16000; // the hands-free profile
  FakeContext.hardwareRate = 16000;
  await pass(t, 400);
  assert.deepEqual(commands, []);
  await pass(t, 200);
  assert.deepEqual(
    commands.map(({ type }) => type),
    ['ports'],
  );
  assert.equal(audio.settings.sampleRate, 16000);
  assert.deepEqual(device(), ['microphone changed Built-in microphone']);
});

test('Safari: a track that ended without saying so is replaced at the next change of devices', async (t) => {
  const { browser } = await up(t);
  browser.track.readyState = 'ended';
  browser.plug(headset);
  await pass(t, 1000);
  assert.equal(browser.tracks.length, 2);
  assert.equal(browser.track.readyState, 'live');
});

test('a phone call mutes the track: a pause of what is sent, not an end', async (t) => {
  const { browser, device, told, audio } = await up(t);
  browser.track.setMuted(true);
  assert.deepEqual(told(), [true]);
  browser.track.setMuted(false);
  assert.deepEqual(told(), [true, false]);
  assert.deepEqual(device(), [
    'microphone muted-by-system Built-in microphone',
    'microphone unmuted-by-system Built-in microphone',
  ]);
  audio.apply({ muted: true });
  browser.track.setMuted(true);
  browser.track.setMuted(false);
  assert.deepEqual(told(), [true, false, true], 'the user’s own mute outlasts the call');
});

test('iOS: an interrupted context is left alone, resumed when the system suspends it, and told', async (t) => {
  const { browser, playing, device } = await up(t);
  const before = playing.resumes;
  playing.become('interrupted');
  for (const chance of ['click', 'touchend', 'visibilitychange']) browser.happens(chance);
  assert.equal(playing.resumes, before, 'resume() in this state gives a frozen clock');
  playing.become('suspended');
  await pass(t, 500);
  assert.equal(playing.state, 'running');
  assert.deepEqual(device(), ['speaker interrupted', 'speaker resumed']);
});

test('iOS: a context that only says that it runs is built anew, and the line gets its port', async (t) => {
  const { browser, audio, commands, playing, device } = await up(t);
  audio.apply({ volume: 0.4 });
  playing.become('interrupted');
  playing.frozen = true;
  playing.become('running');
  await pass(t, 500);
  await breathe();
  assert.equal(playing.state, 'closed');
  assert.deepEqual(
    commands.map(({ type, playback }) => [type, playback instanceof MessagePort]),
    [['ports', true]],
  );
  assert.equal(browser.contexts.at(-1).sampleRate, 24000);
  assert.equal(browser.contexts.at(-1).state, 'running');
  assert.deepEqual(device(), ['speaker interrupted', 'speaker resumed']);
});

test('contexts that stand still one after the other are not built for ever', async (t) => {
  const { browser, playing } = await up(t, { microphone: false });
  const made = browser.contexts.length;
  playing.become('interrupted');
  playing.frozen = true;
  playing.become('running');
  for (let i = 0; i < 10; i++) {
    browser.contexts.at(-1).frozen = true;
    await pass(t, 500);
  }
  assert.equal(browser.contexts.length - made, 3);
});

test('a suspended context runs again when the page comes back or is touched', async (t) => {
  const { browser, playing, capturing } = await up(t);
  for (const chance of ['visibilitychange', 'touchend', 'click']) {
    for (const context of [playing, capturing]) {
      context.state = 'suspended'; // without a statechange: the page was frozen
    }
    browser.happens(chance);
    await breathe();
    assert.deepEqual([playing.state, capturing.state], ['running', 'running'], chance);
  }
});

test('the loudspeaker rests after 30 s of silence and is back when somebody speaks or an answer comes', async (t) => {
  const { audio, browser, playing, events } = await up(t);
  const silence = (count) => {
    for (let i = 0; i < count; i++) browser.node('live-playback').report({ type: 'meter', rms: 0, turn: 0, played: 0 });
  };
  silence(599);
  browser.node('live-playback').report({ type: 'meter', rms: 0.1, turn: 1, played: 10 });
  silence(599);
  assert.equal(playing.state, 'running');
  silence(1);
  assert.equal(playing.state, 'suspended');
  assert.equal(audio.speaker.running, true, 'what comes will be heard');
  browser.happens('click');
  assert.equal(playing.state, 'suspended', 'a click alone brings no sound');
  const capture = browser.node('live-capture');
  capture.report({ type: 'level', rms: 0.01, loudAt: 0 });
  assert.deepEqual(events.at(-1), { type: 'levels', input: 0.01, output: 0 });
  assert.equal(playing.state, 'suspended');
  capture.report({ type: 'level', rms: 0.1, loudAt: 0 });
  assert.equal(playing.state, 'running');
  silence(600);
  audio.expectSound();
  assert.equal(playing.state, 'running');
});

test('another microphone can be chosen in mid-session; one that cannot be had leaves the old one', async (t) => {
  const { audio, browser, source, commands } = await up(t, { before: (b) => b.devices.push(headset) });
  const node = browser.node('live-capture');
  await audio.setMicrophone('headset');
  assert.equal(browser.track.label, 'Headset');
  assert.equal(browser.tracks[0].readyState, 'ended');
  assert.equal(source().connected, node);
  await assert.rejects(audio.setMicrophone('nowhere'), { reason: 'no-microphone' });
  assert.equal(browser.track.readyState, 'live');
  assert.equal(source().connected, node);
  assert.deepEqual(commands, []);
});

test('a chosen loudspeaker plays, warns of its echo, and gives way to the system’s own when it is gone', async (t) => {
  const output = { kind: 'audiooutput', deviceId: 'tv', label: 'Television' };
  const { audio, browser, playing, events, device } = await up(t, {
    Context: RoutedContext,
    before: (b) => b.devices.push(output),
  });
  assert.deepEqual(await listDevices(), {
    inputs: [{ deviceId: 'built-in', label: 'Built-in microphone' }],
    outputs: [{ deviceId: 'tv', label: 'Television' }],
    canChooseOutput: true,
  });
  await audio.setSpeaker('tv');
  assert.equal(playing.sink, 'tv');
  assert.deepEqual(
    events.filter(({ type }) => type === 'echo'),
    [{ type: 'echo', cause: 'output' }],
  );
  await assert.rejects(audio.setSpeaker('nowhere'), { reason: 'unsupported' });
  assert.equal(playing.sink, 'tv');
  browser.unplug('tv');
  await breathe();
  assert.equal(playing.sink, '');
  assert.deepEqual(device(), ['speaker lost']);
});

test('where a page may not choose, the list says so and the choice is refused', async (t) => {
  const { audio } = await up(t);
  assert.deepEqual((await listDevices()).outputs, []);
  assert.equal((await listDevices()).canChooseOutput, false);
  await assert.rejects(audio.setSpeaker('tv'), { reason: 'unsupported' });
  await audio.setSpeaker('');
});

test('the screen stays on, also after the page was hidden, and a refusal is nothing', async (t) => {
  const { audio, browser } = await up(t);
  assert.deepEqual(
    browser.locks.map(({ kind }) => kind),
    ['screen'],
  );
  browser.locks[0].released = true; // the browser does that when the page hides
  browser.happens('visibilitychange');
  await breathe();
  assert.equal(browser.locks.length, 2);
  browser.refusesLocks = true;
  browser.happens('visibilitychange');
  await breathe();
  audio.close();
  await breathe();
  assert.equal(browser.locks[1].released, true);
  browser.refusesLocks = false;
  browser.happens('visibilitychange');
  await breathe();
  assert.equal(browser.locks.length, 2, 'nothing is asked for after the end');
});

test('iOS is told what the sound is for, and that it is over', async (t) => {
  const { audio } = await up(t);
  assert.equal(navigator.audioSession.type, 'play-and-record');
  audio.close();
  assert.equal(navigator.audioSession.type, 'auto');
});

test('half-duplex: the microphone rests while the model is heard, and until the room is quiet', async (t) => {
  const { audio, browser, told } = await up(t, { choices: { halfDuplex: true } });
  const speaker = browser.node('live-playback');
  speaker.report({ type: 'started', turn: 1, receivedAt: 0, at: 0 });
  assert.deepEqual(told(), [true]);
  speaker.report({ type: 'drained', turn: 1, at: 0 });
  await pass(t, 270); // 250 ms and the 30 ms to the ear
  assert.deepEqual(told(), [true]);
  await pass(t, 20);
  assert.deepEqual(told(), [true, false]);
  speaker.report({ type: 'started', turn: 2, receivedAt: 0, at: 0 });
  audio.apply({ halfDuplex: false });
  assert.deepEqual(told(), [true, false, true, false]);
});

test('push-to-talk: only a press opens the microphone; without it a press is nothing', async (t) => {
  const { audio, told } = await up(t);
  audio.talk(true);
  assert.deepEqual(told(), []);
  audio.apply({ inputMode: 'push-to-talk' });
  audio.talk(true);
  audio.talk(true);
  audio.talk(false);
  audio.apply({ inputMode: 'open' });
  assert.deepEqual(told(), ['active false', 'active true', 'active false', 'active null']);
});

test('a setup without automatic detection means push-to-talk, unless the app has chosen', async (t) => {
  const one = await up(t);
  one.audio.granted(true);
  assert.equal(one.audio.inputMode, 'push-to-talk');
  one.audio.apply({ inputMode: 'open' });
  assert.equal(one.audio.inputMode, 'open');
});

/** A voice's level over time, 20 times a second. */
const voice = (i) => 0.1 + 0.08 * Math.sin(i * 0.9) + 0.05 * Math.sin(i * 2.3);
const own = (i) => 0.1 + 0.08 * Math.cos(i * 0.37) + 0.05 * Math.sin(i * 3.1);

/** The model speaks for 3 s, the microphone hears something, and the model is cut off. */
function interrupted({ browser, audio }, turn, hears, { says = 'Paris is the capital of France', transcript } = {}) {
  const speaker = browser.node('live-playback');
  speaker.report({ type: 'started', turn, receivedAt: 0, at: 0 });
  audio.caption({ id: `${turn}-model`, turn, role: 'model', text: says, final: false, interrupted: false });
  for (let i = 0; i < 60; i++) {
    browser.node('live-capture').report({ type: 'level', rms: hears(i), loudAt: 0 });
    speaker.report({ type: 'meter', rms: voice(i), turn, played: 1200 * i });
  }
  if (transcript)
    audio.caption({ id: `${turn}-user`, turn, role: 'user', text: transcript, final: false, interrupted: false });
  speaker.report({ type: 'silent', turn, receivedAt: 0, played: 72000, at: 0 });
}
const echoed = (i) => (i < 3 ? 0.001 : 0.3 * voice(i - 3) + 0.002 * Math.sin(i * 77));
const echoes = ({ events }) => events.filter(({ type }) => type === 'echo').length;

test('a model that is interrupted by its own voice twice is noticed', async (t) => {
  const side = await up(t);
  interrupted(side, 1, echoed); // fetches who looks out for it
  await breathe();
  interrupted(side, 2, echoed);
  assert.equal(echoes(side), 0);
  interrupted(side, 3, echoed, { transcript: 'is the capital' });
  assert.equal(echoes(side), 1);
});

test('people who speak over the model are not called an echo, with or without words', async (t) => {
  const side = await up(t);
  interrupted(side, 0, own);
  await breathe();
  for (let turn = 1; turn < 5; turn++) interrupted(side, turn, own);
  for (let turn = 5; turn < 9; turn++)
    interrupted(side, turn, echoed, { transcript: 'Wait, tell me about something else' });
  for (let turn = 9; turn < 12; turn++) interrupted(side, turn, () => 0.002);
  assert.equal(echoes(side), 0);
});
