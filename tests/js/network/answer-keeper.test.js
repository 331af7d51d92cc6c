import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AnswerKeeper } from '../../../web/live/network/answer-keeper.js';
import { opensTurn } from '../../../web/live/network/turn-playback.js';
import { epochNow } from '../../../web/live/shared/clock.js';
import { settle, virtualTime } from '../support.js';

const SETUP = { model: 'models/gemini-3.8-live', inputAudioTranscription: {} };
const HELLO = { message: { realtimeInput: { text: 'Hello' } }, typed: 3 };
const FLUSH = { realtimeInput: { audioStreamEnd: true } };
const GO_ON = { clientContent: { turnComplete: true } };
const SAID = { type: 'inputText', text: 'Hello', finished: true };
const AUDIO = { type: 'audio', data: 'AAAA', mimeType: 'audio/pcm;rate=24000' };
const TURNS = [{ role: 'user', parts: [{ text: 'We spoke of tea.' }] }];
const over = (reason) => ({ type: 'turnComplete', ...(reason && { reason }) });

/** A keeper on a virtual clock, and all that it did. */
function keeping(t, { manual = false, setup = SETUP, turns = TURNS } = {}) {
  const pass = virtualTime(t);
  const host = {
    manual,
    loudAt: 0,
    /** What was sent, and how it reconnected, in order. */
    did: [],
    reports: [],
    asked: [],
    async ask(what) {
      host.asked.push(what);
      return turns;
    },
    report: (report) => host.reports.push(report),
    send: (outgoing) => {
      host.did.push(outgoing.message);
      keeper.sent(outgoing, outgoing.message !== FLUSH && !outgoing.message.realtimeInput?.audioStreamEnd);
    },
    reconnect(_question, restart, error) {
      assert.equal(error.reason, 'no-answer');
      host.did.push(restart ? 'restart' : 'resume');
      keeper.down();
      keeper.up(!restart);
    },
    ended(error) {
      host.did.push(error.reason);
      host.over = true;
    },
  };
  const keeper = new AnswerKeeper(host);
  keeper.granted(setup);
  keeper.up(false);
  return {
    host,
    keeper,
    see(...facts) {
      for (const fact of facts) keeper.observe(fact, opensTurn(fact));
    },
    ask: () => keeper.sent(HELLO, true),
    speak(...facts) {
      host.loudAt = epochNow();
      for (const fact of facts) keeper.observe(fact, opensTurn(fact));
    },
    press() {
      host.loudAt = epochNow();
      keeper.released();
    },
    async wait(ms) {
      for (let left = ms; left > 0; left -= 250) {
        await pass(250, 250);
        if (!host.over) keeper.tick();
      }
    },
    events: (name) => host.reports.filter(({ event }) => event === name).map(({ detail }) => detail),
    get waiting() {
      return host.reports.at(-1)?.waiting;
    },
  };
}

/** Until a module has loaded. */
const loaded = async (what) => {
  for (let tries = 0; !what(); tries++) {
    assert.ok(tries < 200, `${what}`);
    await settle();
  }
};

test('a text: sent again, then on another connection, then in a new session, then the end', async (t) => {
  const net = keeping(t);
  net.ask();
  await net.wait(30_000);
  const { message } = HELLO;
  assert.deepEqual(net.host.did, [message, 'resume', message, 'restart', message, 'no-answer']);
  const stalled = net.events('stalled');
  assert.deepEqual(
    stalled.map(({ step }) => step),
    ['nudge', 'resume', 'restart', 'end'],
  );
  assert.ok(stalled.every(({ waitedMs }, at) => Math.abs(waitedMs - 6000 * (at + 1)) <= 1000));
  assert.equal(net.waiting, false);
});

for (const [kind, act, nudge] of [
  ['speech', (net) => net.speak(SAID), FLUSH],
  ['speech of push-to-talk', (net) => net.press(), GO_ON],
  [
    'a result',
    (net) => net.keeper.sent({ message: { toolResponse: { functionResponses: [{ id: 'c' }] } } }, true),
    GO_ON,
  ],
]) {
  test(`${kind}: the library asks the model to continue`, async (t) => {
    const net = keeping(t, { manual: kind.includes('push') });
    act(net);
    await net.wait(30_000);
    assert.deepEqual(net.host.did, [nudge, 'resume', GO_ON, 'restart', GO_ON, 'no-answer']);
  });
}

test('an answer ends the wait, and the next silence begins with the first step', async (t) => {
  const net = keeping(t);
  net.ask();
  await net.wait(13_000);
  assert.equal(net.waiting, true);
  net.see(AUDIO);
  assert.equal(net.waiting, false);
  net.see(over());
  net.ask();
  await net.wait(7000);
  assert.deepEqual(
    net.events('stalled').map(({ step }) => step),
    ['nudge', 'resume', 'nudge'],
  );
});

test('another question while the model is silent goes on with the next step', async (t) => {
  const net = keeping(t);
  net.ask();
  await net.wait(7000);
  const again = { message: { realtimeInput: { text: 'Are you there?' } }, typed: 4 };
  net.keeper.sent(again, true);
  await net.wait(7000);
  assert.deepEqual(net.host.did, [HELLO.message, 'resume', again.message]);
});

test('noise costs one message, and nobody is alarmed', async (t) => {
  for (const manual of [false, true]) {
    await t.test(manual ? 'manual detection: not even that' : 'automatic detection', async (t) => {
      const net = keeping(t, { manual });
      net.speak({ type: 'voiceActivity', active: true }, { type: 'voiceActivity', active: false });
      await net.wait(60_000);
      assert.deepEqual(net.host.did, manual ? [] : [FLUSH]);
      assert.deepEqual(net.host.reports, []);
    });
  }
});

test('a button that is pressed without a word asks for nothing', async (t) => {
  const net = keeping(t, { manual: true });
  await net.wait(1000);
  net.keeper.released();
  await net.wait(10_000);
  assert.deepEqual(net.host.did, []);
});

test('empty turns take the same steps, at once', async (t) => {
  const net = keeping(t);
  net.ask();
  for (let step = 1; step <= 4; step++) {
    net.see(over('RESPONSE_REJECTED'));
    await loaded(() => net.events('emptyturn').length === step);
  }
  assert.deepEqual(
    net.events('emptyturn').map(({ step, reason }) => `${step} ${reason}`),
    ['nudge', 'resume', 'restart', 'end'].map((step) => `${step} RESPONSE_REJECTED`),
  );
  assert.equal(net.host.did.at(-1), 'no-answer');
  assert.match(net.events('emptyturn')[0].detail, /rejected/);
});

test('an empty turn after speech is asked to go on', async (t) => {
  const net = keeping(t);
  net.speak(SAID);
  net.see(over());
  await loaded(() => net.host.did.length > 0);
  assert.deepEqual(net.host.did, [GO_ON]);
});

test('a refusal for safety is reported and ends the wait', async (t) => {
  const net = keeping(t);
  net.ask();
  await net.wait(7000);
  net.see(over('GENERATED_CONTENT_SAFETY'));
  await loaded(() => net.events('emptyturn').length);
  assert.deepEqual(net.events('emptyturn')[0].step, 'none');
  assert.equal(net.waiting, false);
  await net.wait(30_000);
  assert.deepEqual(net.host.did, [HELLO.message]);
});

test('an empty turn that is followed by the answer is forgotten', async (t) => {
  const net = keeping(t);
  net.ask();
  net.see(over(), AUDIO);
  await net.wait(1000);
  assert.deepEqual(net.host.did, []);
  assert.deepEqual(net.host.reports, []);
});

test('a question without an answer is asked again after a break, but not after two', async (t) => {
  for (const [kind, act, again] of [
    ['a text', (net) => net.ask(), [HELLO.message]],
    ['speech', (net) => net.speak(SAID), [GO_ON]],
    ['noise', (net) => net.speak({ type: 'voiceActivity', active: false }), []],
    [
      'a result',
      (net) => net.keeper.sent({ message: { toolResponse: { functionResponses: [{ id: 'c' }] } } }, true),
      [],
    ],
    ['an answered text', (net) => net.ask() ?? net.see(AUDIO), []],
  ]) {
    await t.test(kind, async (t) => {
      const net = keeping(t);
      act(net);
      await net.wait(1000);
      assert.equal(net.keeper.down(), again.includes(HELLO.message) ? HELLO.typed : undefined);
      net.keeper.up(true);
      assert.deepEqual(net.host.did, again);
      net.keeper.down();
      net.keeper.up(true);
      await net.wait(30_000);
      assert.deepEqual(net.host.did, again);
      assert.deepEqual(net.events('stalled'), []);
    });
  }
});

test('a break in a silence does not begin the steps anew', async (t) => {
  const net = keeping(t);
  net.ask();
  await net.wait(7000);
  net.keeper.down();
  net.keeper.up(true);
  await net.wait(30_000);
  assert.deepEqual(
    net.events('stalled').map(({ step }) => step),
    ['nudge', 'resume', 'restart', 'end'],
  );
});

test('a session that has forgotten receives the text so far, and nothing if there is none', async (t) => {
  for (const turns of [TURNS, []]) {
    await t.test(`${turns.length} turns`, async (t) => {
      const net = keeping(t, { turns });
      await settle(); // loads the check
      const count = (promptTokenCount) => ({ type: 'usage', usage: { promptTokenCount } });
      for (const tokens of [100, 200, 300]) net.see(AUDIO, count(tokens), over());
      net.keeper.down();
      net.keeper.up(true);
      net.see(AUDIO, count(100));
      assert.deepEqual(net.host.asked, [], 'not in mid-answer');
      net.see(over());
      await loaded(() => net.events('contextlost').length);
      assert.deepEqual(net.host.did, turns.length ? [{ clientContent: { turns, turnComplete: false } }] : []);
      assert.deepEqual(net.events('contextlost'), [{ seeded: turns.length > 0 }]);
      await net.wait(10_000);
      assert.deepEqual(net.events('stalled'), [], 'no answer is asked for');
    });
  }
});
