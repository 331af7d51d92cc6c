/** AudioIO in a simulated browser that behaves like real phones, headsets and engines (audio-fakes.js). */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AudioIO } from '../../../web/live/audio/audio-io.js';
import { listDevices } from '../../../web/live/audio/devices.js';
import '../../../web/live/audio/echo-detector.js'; // AudioIO loads this module with the first interruption
import '../../../web/live/shared/error-sentences.js'; // LiveError loads this module with the first refusal
import { breathe, FakeContext, installBrowser, pass, RoutedContext } from '../audio-fakes.js';

/** An open AudioIO, with its events, commands and failures. */
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
    microphoneCommands: () =>
      commands.map(({ type, muted, active }) =>
        type === 'mute' ? muted : type === 'activity' ? `active ${active}` : type,
      ),
    source: () => browser.contexts.flatMap(({ sources }) => sources).findLast(({ connected }) => connected),
  };
}

const headset = { kind: 'audioinput', deviceId: 'headset', label: 'Headset', rate: 48000 };

test('replaces an unplugged microphone by the next one, with the same constraints and worklet', async (t) => {
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
  assert.equal(source().connected, node, 'only the source changes');
  assert.deepEqual(device(), ['microphone lost Headset', 'microphone changed Built-in microphone']);
  assert.deepEqual([commands, failures], [[], []]);
  assert.equal(audio.settings.echoCancellation, true);
});

for (const fault of ['gone', 'NotReadableError', 'AbortError'])
  test(`a chosen microphone that is unavailable at a start (${fault}) is replaced by the system’s own, each time`, async (t) => {
    for (const start of [1, 2]) {
      await t.test(`start ${start}`, async (t) => {
        const { browser, device, failures } = await up(t, {
          choices: { deviceId: 'headset' },
          before: (b) => {
            if (fault !== 'gone') b.broken = { deviceId: 'headset', name: fault };
          },
        });
        assert.equal(browser.track.label, 'Built-in microphone');
        assert.deepEqual(device(), ['microphone lost', 'microphone changed Built-in microphone']);
        assert.deepEqual(failures, []);
      });
    }
  });

test('a refused permission and a missing system microphone stay errors, with a chosen device too', async (t) => {
  const refused = up(t, { choices: { deviceId: 'headset' }, before: (b) => (b.refuses = 'NotAllowedError') });
  await assert.rejects(refused, { reason: 'permission-denied' });
});

test('without any microphone, a chosen one is no help', async (t) => {
  const none = up(t, { choices: { deviceId: 'headset' }, before: (b) => (b.devices = []) });
  await assert.rejects(none, { reason: 'no-microphone' });
});

test('a chosen loudspeaker that is gone at the start, or when the audio is created again, is replaced and told', async (t) => {
  const { audio, browser, playing, device } = await up(t, {
    Context: RoutedContext,
    choices: { outputDeviceId: 'tv' },
  });
  assert.deepEqual([playing.sink, device()], ['', ['speaker lost']]);
  browser.devices.push({ kind: 'audiooutput', deviceId: 'tv', label: 'Television' });
  await audio.setSpeaker('tv');
  browser.devices = browser.devices.filter(({ deviceId }) => deviceId !== 'tv'); // no event tells
  await audio.speaker.rebuild();
  assert.equal(audio.speaker.sink, '');
  assert.equal(browser.contexts.at(-1).sink, '');
  assert.deepEqual(device(), ['speaker lost', 'speaker lost']);
});

test('while the browser asks for the microphone, says so and is not permitted yet', async (t) => {
  for (const permission of ['prompt', 'granted', undefined, 'unsupported']) {
    await t.test(`${permission}`, async (t) => {
      const browser = installBrowser(t);
      let allow = () => {};
      const usual = navigator.mediaDevices.getUserMedia;
      navigator.mediaDevices.getUserMedia = (wish) => new Promise((resolve) => (allow = () => resolve(usual(wish))));
      if (permission)
        navigator.permissions = {
          async query() {
            if (permission === 'unsupported') throw new TypeError('microphone');
            return { state: permission };
          },
        };
      const events = [];
      const audio = new AudioIO(
        { muted: false, volume: 1 },
        { emit: (_, { reason }) => events.push(reason), post: () => {}, failed: () => {} },
      );
      t.after(() => audio.close());
      const { port1, port2 } = new MessageChannel();
      t.after(() => port2.close());
      const opened = audio.openMic(port1);
      let permitted = false;
      const asked = audio.permitted().then(() => (permitted = true));
      await pass(t, 501);
      assert.equal(permitted, permission === 'granted');
      assert.deepEqual(events, permission === 'granted' ? [] : ['asking']);
      allow();
      await asked;
      await opened;
      assert.equal(browser.track.label, 'Built-in microphone');
    });
  }
});

test('hints at a microphone that gives nothing but zeros for ten seconds, unless it is muted', async (t) => {
  const { audio, browser, device } = await up(t);
  const level = (rms, count) => {
    for (let n = 0; n < count; n++) browser.node('live-capture').report({ type: 'level', rms, loudAt: 0 });
  };
  level(0, 199);
  level(0.0001, 1);
  level(0, 199);
  assert.deepEqual(device(), []);
  level(0, 400);
  level(0.1, 2);
  assert.deepEqual(device(), ['microphone silent Built-in microphone', 'microphone resumed Built-in microphone']);
  audio.apply({ muted: true });
  level(0, 400);
  assert.equal(device().length, 2);
});

test('waits for a new microphone when none is left', async (t) => {
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

test('fails when the permission is withdrawn', async (t) => {
  const { browser, failures } = await up(t);
  browser.refuses = 'NotAllowedError';
  browser.track.end();
  await breathe();
  assert.deepEqual(
    failures.map(({ reason }) => reason),
    ['permission-denied'],
  );
});

test('Firefox: a new microphone with another rate gets a context of that rate', async (t) => {
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

test('Bluetooth: captures again when a headset changes its rate a moment later', async (t) => {
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

test('Safari: replaces a track that ended without an event at the next device change', async (t) => {
  const { browser } = await up(t);
  browser.track.readyState = 'ended';
  browser.plug(headset);
  await pass(t, 1000);
  assert.equal(browser.tracks.length, 2);
  assert.equal(browser.track.readyState, 'live');
});

test('a phone call mutes the track and pauses sending without ending it', async (t) => {
  const { browser, device, microphoneCommands, audio } = await up(t);
  browser.track.setMuted(true);
  assert.deepEqual(microphoneCommands(), [true]);
  browser.track.setMuted(false);
  assert.deepEqual(microphoneCommands(), [true, false]);
  assert.deepEqual(device(), [
    'microphone muted-by-system Built-in microphone',
    'microphone unmuted-by-system Built-in microphone',
  ]);
  audio.apply({ muted: true });
  browser.track.setMuted(true);
  browser.track.setMuted(false);
  assert.deepEqual(microphoneCommands(), [true, false, true], 'the user’s own mute outlasts the call');
});

test('iOS: leaves an interrupted context alone, resumes it when the system suspends it, and reports both', async (t) => {
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

test('iOS: replaces a context whose clock stands still and passes the new port to the network', async (t) => {
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

test('gives up after three contexts that stand still', async (t) => {
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

test('a suspended context runs again when the page becomes visible or is touched', async (t) => {
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

test('the loudspeaker rests after 30 s of silence and resumes when the user speaks or an answer is expected', async (t) => {
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
  assert.equal(audio.speaker.running, true, 'it will play the next answer');
  browser.happens('click');
  assert.equal(playing.state, 'suspended', 'a click alone does not resume it');
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

test('changes the microphone during a session and keeps the current one if the new one is unavailable', async (t) => {
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

test('plays on a chosen loudspeaker, warns about its echo, and returns to the system’s own when it is unplugged', async (t) => {
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

test('lists no outputs and rejects a choice where a page may not choose the loudspeaker', async (t) => {
  const { audio } = await up(t);
  assert.deepEqual((await listDevices()).outputs, []);
  assert.equal((await listDevices()).canChooseOutput, false);
  await assert.rejects(audio.setSpeaker('tv'), { reason: 'unsupported' });
  await audio.setSpeaker('');
});

test('keeps the screen on, also after the page was hidden, and ignores a refusal', async (t) => {
  const { audio, browser } = await up(t);
  assert.deepEqual(
    browser.locks.map(({ kind }) => kind),
    ['screen'],
  );
  browser.locks[0].released = true; // the browser releases the lock when the page is hidden
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
  assert.equal(browser.locks.length, 2, 'requests no lock after the end');
});

test('sets the purpose of the audio for iOS and resets it at the end', async (t) => {
  const { audio } = await up(t);
  assert.equal(navigator.audioSession.type, 'play-and-record');
  audio.close();
  assert.equal(navigator.audioSession.type, 'auto');
});

test('half-duplex: the microphone rests while the model is heard and until the room is quiet', async (t) => {
  const { audio, browser, microphoneCommands } = await up(t, { choices: { halfDuplex: true } });
  const speaker = browser.node('live-playback');
  speaker.report({ type: 'started', turn: 1, receivedAt: 0, at: 0 });
  assert.deepEqual(microphoneCommands(), [true]);
  speaker.report({ type: 'drained', turn: 1, at: 0 });
  await pass(t, 270); // of 250 ms, plus 30 ms until the sound reaches the ear
  assert.deepEqual(microphoneCommands(), [true]);
  await pass(t, 20);
  assert.deepEqual(microphoneCommands(), [true, false]);
  speaker.report({ type: 'started', turn: 2, receivedAt: 0, at: 0 });
  audio.apply({ halfDuplex: false });
  assert.deepEqual(microphoneCommands(), [true, false, true, false]);
});

test('push-to-talk: only a press opens the microphone; in open mode a press has no effect', async (t) => {
  const { audio, microphoneCommands } = await up(t);
  audio.talk(true);
  assert.deepEqual(microphoneCommands(), []);
  audio.apply({ inputMode: 'push-to-talk' });
  audio.talk(true);
  audio.talk(true);
  audio.talk(false);
  audio.apply({ inputMode: 'open' });
  assert.deepEqual(microphoneCommands(), ['active false', 'active true', 'active false', 'active null']);
});

test('uses push-to-talk for a setup without automatic detection, unless the app has chosen a mode', async (t) => {
  const one = await up(t);
  one.audio.granted(true);
  assert.equal(one.audio.inputMode, 'push-to-talk');
  one.audio.apply({ inputMode: 'open' });
  assert.equal(one.audio.inputMode, 'open');
});

/** The level of a voice over time, 20 values a second. */
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

test('reports an echo when the model has interrupted itself twice', async (t) => {
  const side = await up(t);
  interrupted(side, 1, echoed); // loads the echo detector
  await breathe();
  interrupted(side, 2, echoed);
  assert.equal(echoes(side), 0);
  interrupted(side, 3, echoed, { transcript: 'is the capital' });
  assert.equal(echoes(side), 1);
});

test('reports no echo when people interrupt the model, with or without words', async (t) => {
  const side = await up(t);
  interrupted(side, 0, own);
  await breathe();
  for (let turn = 1; turn < 5; turn++) interrupted(side, turn, own);
  for (let turn = 5; turn < 9; turn++)
    interrupted(side, turn, echoed, { transcript: 'Wait, tell me about something else' });
  for (let turn = 9; turn < 12; turn++) interrupted(side, turn, () => 0.002);
  assert.equal(echoes(side), 0);
});
