import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { ResilientConnection } from '../../../web/live/network/resilient-connection.js';
import { LiveError } from '../../../web/live/shared/errors.js';
import { readServerMessage } from '../../../web/live/shared/protocol.js';
import { FakeWebSocket, virtualTime } from '../support.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const SETUP = { model: 'models/m', sessionResumption: {} };
const TURNS = [{ role: 'user', parts: [{ text: 'We spoke of tea.' }] }];
const at = (seconds) => new Date(Date.UTC(2030, 0, 1) + seconds * 1000).toISOString();
/** An answer of the broker; times in seconds from now. */
const answerOf = ({ life = 900, ends = 1800, within = 120, setup = SETUP, renew = life * 0.8 } = {}) => ({
  token: 'auth_tokens/secret',
  url: 'ws://live.test/ws',
  setup,
  expires_in: life,
  expires_at: at(life),
  connect_within: within,
  session: { id: 'ses_1', ends_at: at(ends), renew_after: at(renew) },
});
const refusal = (status, code, retryAfter = null) =>
  LiveError.tokenRefused(status, { code, detail: `${code}.` }, retryAfter);

beforeEach(() => FakeWebSocket.install());

/** An open connection on a virtual clock. `net.broker` makes the answer to a token request. */
async function connected(t, { handle = 'h1', answer = answerOf(), random = 0 } = {}) {
  const pass = virtualTime(t);
  t.mock.method(Math, 'random', () => random);
  const net = {
    pass,
    reports: [],
    asked: [],
    life: [],
    endedWith: [],
    idle: true,
    broker: () => answer,
    of: (type) => net.reports.filter((report) => report.type === type),
    get sockets() {
      return FakeWebSocket.made;
    },
    get socket() {
      return FakeWebSocket.last;
    },
    async accept() {
      net.socket.open();
      await net.serve({ setupComplete: {} });
    },
    async serve(message, socket = net.socket) {
      socket.serve(message);
      await pass(1, 1);
    },
    async drop(code, reason = '') {
      net.socket.drop(code, reason);
      await pass(1, 1);
    },
  };
  const connection = new ResilientConnection({
    async ask(what, detail) {
      net.asked.push({ what, ...detail });
      return what === 'plan' ? { answer: net.broker() } : TURNS;
    },
    report: (report) => net.reports.push(report),
    receive(message) {
      for (const fact of readServerMessage(message)) connection.observe(fact);
    },
    idle: () => net.idle,
    granted: () => {},
    up: (resumed) => net.life.push(resumed ? 'resumed' : 'new'),
    down: () => net.life.push('down'),
    ended(error) {
      net.endedWith.push(error);
      void connection.stop(true);
    },
  });
  t.after(() => connection.stop(true));
  net.connection = connection;
  void connection.start({ answer });
  await pass(1, 1);
  await net.accept();
  if (handle) await net.serve({ sessionResumptionUpdate: { newHandle: handle, resumable: true } });
  return net;
}

const setupOf = (socket) => socket.messages[0].setup;

test('goAway: fetches the next token early, closes the old socket and resumes with the newest resumable handle', async (t) => {
  const net = await connected(t);
  net.idle = false;
  await net.serve({ sessionResumptionUpdate: { newHandle: 'h2', resumable: true } });
  await net.serve({ sessionResumptionUpdate: { newHandle: '', resumable: false } });
  await net.serve({ sessionResumptionUpdate: {} });
  await net.serve({ goAway: { timeLeft: '50s' } });
  await net.pass(SECOND);
  assert.deepEqual(
    net.asked.map(({ what, handle }) => [what, handle]),
    [['plan', 'h2']],
  );
  assert.equal(net.sockets.length, 1, 'the old connection is still in use');
  await net.serve({ sessionResumptionUpdate: { newHandle: 'h3', resumable: true } });
  net.idle = true;
  const [old] = net.sockets;
  await net.pass(300);
  assert.equal(old.closedWith, 1000);
  assert.equal(net.sockets.length, 2);
  await net.accept();
  assert.deepEqual(setupOf(net.socket).sessionResumption, { handle: 'h3' });
  assert.deepEqual(net.life, ['new', 'down', 'resumed']);
  assert.deepEqual(net.asked.length, 1);
  const [{ resumed, seeded, planned, gapMs }] = net.of('reconnected');
  assert.deepEqual([resumed, seeded, planned], [true, false, true]);
  assert.ok(gapMs < SECOND);
  assert.deepEqual(net.of('reconnecting'), []);
});

test('waits for the old socket to close, but not forever, before it opens the new one', async (t) => {
  const net = await connected(t);
  const [old] = net.sockets;
  old.close = (code) => (old.closedWith = code); // the closing handshake does not end
  await net.serve({ goAway: { timeLeft: '50s' } });
  await net.pass(700);
  assert.equal(old.closedWith, 1000);
  assert.equal(net.sockets.length, 1);
  await net.pass(SECOND);
  assert.equal(net.sockets.length, 2);
});

test('leaves a turn that does not end one second before the connection ends', async (t) => {
  const net = await connected(t);
  net.idle = false;
  await net.serve({ goAway: { timeLeft: '10.5s' } });
  await net.pass(9250);
  assert.equal(net.sockets.length, 1);
  await net.pass(600);
  assert.equal(net.sockets.length, 2);
});

test('with a total lock, fetches the token, which contains the handle, when it leaves the connection', async (t) => {
  const net = await connected(t, { answer: answerOf({ setup: { model: 'models/m' } }) });
  net.idle = false;
  await net.serve({ goAway: { timeLeft: '50s' } });
  await net.pass(20 * SECOND);
  assert.deepEqual(net.asked, []);
  await net.serve({ sessionResumptionUpdate: { newHandle: 'h9', resumable: true } });
  net.idle = true;
  await net.pass(SECOND);
  assert.deepEqual(
    net.asked.map(({ handle }) => handle),
    ['h9'],
  );
  assert.equal(net.sockets.length, 2);
});

test('with a total lock and no quiet moment, fetches the token in time', async (t) => {
  const net = await connected(t, { answer: answerOf({ setup: { model: 'models/m' } }) });
  net.idle = false;
  await net.serve({ goAway: { timeLeft: '50s' } });
  await net.pass(49.5 * SECOND);
  assert.equal(net.sockets.length, 2);
});

test('does not use a next token that has waited too long', async (t) => {
  const net = await connected(t, { answer: answerOf({ within: 5 }) });
  net.idle = false;
  await net.serve({ goAway: { timeLeft: '50s' } });
  await net.pass(20 * SECOND);
  assert.ok(net.asked.length >= 4, `${net.asked.length}`);
});

test('starts the next slice before the current one ends and reports it in clock', async (t) => {
  const net = await connected(t);
  const [first] = net.of('clock');
  assert.ok(Math.abs(first.remainingMs - 30 * MINUTE) < SECOND);
  await net.pass(11.9 * MINUTE, SECOND);
  assert.equal(net.sockets.length, 1);
  net.broker = () => answerOf({ ends: 1800 - 720 });
  for (let waited = 0; net.sockets.length === 1 && waited < 15; waited++) await net.pass(SECOND, 250);
  await net.accept();
  assert.deepEqual(net.life, ['new', 'down', 'resumed']);
  const last = net.of('clock').at(-1);
  assert.ok(Math.abs(last.endsAt - first.endsAt) < 30 * SECOND);
  assert.ok(last.renewedAt > first.renewedAt);
});

for (const [what, idle, from, to] of [
  ['in a pause, soon after renew_after', true, 15, 17],
  ['before it expires if there is no pause', false, 24, 28],
]) {
  test(`changes a connection whose token lasts 30 seconds ${what}`, async (t) => {
    const net = await connected(t, { answer: answerOf({ life: 30, within: 30, renew: 15 }) });
    net.idle = idle;
    net.broker = () => answerOf({ life: 60, within: 60, renew: 45 });
    await net.pass(from * SECOND - 500, 250);
    assert.equal(net.sockets.length, 1);
    await net.pass((to - from) * SECOND, 250);
    assert.equal(net.sockets.length, 2);
    await net.accept();
    assert.deepEqual(net.life, ['new', 'down', 'resumed']);
    assert.deepEqual(net.endedWith, []);
  });
}

test('continues while the broker is away and tries to renew until the slice ends', async (t) => {
  const net = await connected(t);
  net.broker = () => {
    throw refusal(503, 'draining', '5');
  };
  await net.pass(12.5 * MINUTE, SECOND);
  const early = net.asked.length;
  assert.ok(early > 3 && early < 12, `${early}`);
  assert.deepEqual(net.endedWith, []);
  await net.pass(MINUTE, SECOND);
  assert.ok(net.asked.length > early && net.asked.length <= early + 3);
  net.broker = () => answerOf();
  for (let waited = 0; net.sockets.length === 1 && waited < 60; waited++) await net.pass(SECOND, 250);
  await net.accept();
  assert.deepEqual(net.life, ['new', 'down', 'resumed']);
});

test('without another token, lasts as long as the current one and ends with the reason', async (t) => {
  const net = await connected(t);
  net.broker = () => {
    throw refusal(429, 'minutes-exhausted', '36000');
  };
  await net.pass(12.1 * MINUTE, SECOND);
  assert.equal(net.asked.length, 1);
  assert.ok(net.of('clock').at(-1).remainingMs < 3 * MINUTE, 'reports the new end to the app');
  assert.deepEqual(net.endedWith, []);
  await net.pass(3 * MINUTE, SECOND);
  assert.deepEqual(
    net.endedWith.map(({ reason, detail }) => [reason, detail]),
    [['session-ended', 'minutes-exhausted.']],
  );
  assert.equal(net.asked.length, 1);
});

test('ends when the session’s time is up, a minute after a warning', async (t) => {
  const net = await connected(t, { answer: answerOf({ life: 300, ends: 300 }) });
  await net.pass(241 * SECOND, SECOND);
  assert.equal(net.of('clock').length, 2);
  assert.ok(net.of('clock')[1].remainingMs <= MINUTE);
  await net.pass(56 * SECOND, SECOND);
  assert.deepEqual(net.endedWith, []);
  await net.pass(2 * SECOND, SECOND);
  assert.deepEqual(
    net.endedWith.map(({ reason }) => reason),
    ['session-ended'],
  );
  assert.equal(net.sockets.length, 1);
  assert.equal(net.socket.closedWith, 1000);
});

for (const [code, reason] of [
  [1006, ''],
  [1008, 'The operation was aborted.'],
  [1011, 'Internal error occurred.'],
  [1011, 'auth token has expired'],
]) {
  test(`${code} ${reason || 'without a reason'}: resumes at once with a fresh token and the handle`, async (t) => {
    const net = await connected(t);
    await net.pass(10 * SECOND);
    await net.drop(code, reason);
    assert.deepEqual(
      net.asked.map(({ handle }) => handle),
      ['h1'],
    );
    await net.accept();
    assert.deepEqual(net.life, ['new', 'down', 'resumed']);
    assert.deepEqual(
      net.of('reconnecting').map(({ attempt, delayMs }) => [attempt, delayMs]),
      [[1, 0]],
    );
    assert.equal(net.of('reconnected')[0].planned, false);
  });
}

test('tries a refused handle once more after a pause, then opens a new connection with the text so far', async (t) => {
  const net = await connected(t);
  await net.pass(10 * SECOND);
  await net.drop(1006);
  net.socket.open();
  await net.drop(1011, 'Internal error encountered.');
  assert.equal(net.sockets.length, 2);
  await net.pass(600);
  net.socket.open();
  assert.deepEqual(setupOf(net.socket).sessionResumption, { handle: 'h1' });
  await net.drop(1011, 'Internal error encountered.');
  await net.pass(1100);
  await net.accept();
  assert.deepEqual(setupOf(net.socket), SETUP);
  assert.deepEqual(net.socket.messages[1], { clientContent: { turns: TURNS, turnComplete: false } });
  assert.deepEqual(net.life, ['new', 'down', 'new']);
  const [{ resumed, seeded }] = net.of('reconnected');
  assert.deepEqual([resumed, seeded], [false, true]);
  assert.deepEqual(
    net.asked.map(({ what, handle }) => [what, handle]),
    [
      ['plan', 'h1'],
      ['plan', 'h1'],
      ['plan', ''],
      ['history', undefined],
    ],
  );
});

test('does not try a handle twice that no longer exists', async (t) => {
  const net = await connected(t);
  await net.drop(1006);
  net.socket.open();
  await net.drop(1008, 'Requested entity was not found.');
  await net.pass(600);
  await net.accept();
  assert.equal(net.of('reconnected')[0].seeded, true);
});

test('without a handle, the next connection receives the text so far', async (t) => {
  const net = await connected(t, { handle: '' });
  await net.drop(1006);
  await net.accept();
  assert.equal(net.of('reconnected')[0].seeded, true);
});

test('replaces a late or used token and keeps the handle', async (t) => {
  const net = await connected(t);
  for (const reason of ['Token has been used too many times', 'new_session_expire_time deadline exceeded']) {
    await net.drop(1006);
    net.socket.open();
    await net.drop(1011, reason);
    await net.pass(1100);
    await net.accept();
    assert.deepEqual(setupOf(net.socket).sessionResumption, { handle: 'h1' });
    await net.pass(6 * SECOND);
  }
});

for (const [code, reason] of [
  [1011, 'Resource has been exhausted (e.g. check quota).'],
  [1007, 'API key expired. Please renew the API key.'],
  [1007, 'User location is not supported for the API use.'],
]) {
  test(`${code} ${reason} ends the conversation at once, with one sentence`, async (t) => {
    const net = await connected(t);
    await net.drop(code, reason);
    assert.equal(net.sockets.length, 1);
    assert.equal(net.endedWith.length, 1);
    assert.match((await net.endedWith[0].explained()).detail, /^[^.]+\.$/);
  });
}

test('ends when the broker’s refusal is final', async (t) => {
  for (const [status, code, reason] of [
    [403, 'profile-forbidden', 'token-refused'],
    [409, 'session-ended', 'session-ended'],
    [429, 'minutes-exhausted', 'session-ended'],
    [403, 'account-blocked', 'session-ended'],
  ]) {
    await t.test(code, async (t) => {
      FakeWebSocket.install();
      const net = await connected(t);
      net.broker = () => {
        throw refusal(status, code);
      };
      await net.drop(1006);
      assert.deepEqual(
        net.endedWith.map((error) => [error.reason, error.detail]),
        [[reason, `${code}.`]],
      );
      assert.equal(net.asked.length, 1);
    });
  }
});

test('makes five attempts with at least the set delays, then ends with one sentence', async (t) => {
  const net = await connected(t);
  const times = [];
  net.broker = () => {
    times.push(performance.now());
    throw new LiveError({ reason: 'network', detail: 'The broker could not be reached.' });
  };
  await net.drop(1006);
  await net.pass(20 * SECOND);
  const gaps = times.slice(1).map((time, n) => time - times[n]);
  assert.equal(times.length, 5);
  for (const [n, least] of [500, 1000, 2000, 4000].entries()) assert.ok(gaps[n] >= least, `${gaps}`);
  assert.deepEqual(
    net.endedWith.map(({ detail }) => detail),
    ['The broker could not be reached.'],
  );
});

/** Breaks each connection after that many seconds, until the conversation ends. */
async function breakEach(net, seconds, ...close) {
  for (let tries = 0; net.endedWith.length === 0 && tries < 50; tries++) {
    await net.pass(seconds * SECOND, 250);
    await net.drop(...close);
    for (let waited = 0; net.socket.readyState !== 0 && net.endedWith.length === 0 && waited < 100; waited++)
      await net.pass(100, 50);
    if (net.socket.readyState === 0) await net.accept();
  }
  return net.endedWith.map(({ reason }) => reason);
}

for (const seconds of [0, 3, 20])
  test(`ends when each connection breaks after ${seconds} s without an answer`, async (t) => {
    const net = await connected(t);
    assert.deepEqual(await breakEach(net, seconds, 1006), ['connection-lost']);
    assert.equal(net.sockets.length, 6);
  });

test('an answer, or half a minute, makes the next break a new problem', async (t) => {
  const net = await connected(t);
  for (let round = 0; round < 8; round++) {
    if (round % 2) await net.pass(31 * SECOND, 250);
    else {
      await net.pass(3 * SECOND);
      await net.serve({ serverContent: { generationComplete: true } });
    }
    await net.drop(1006);
    await net.accept();
  }
  assert.deepEqual(net.endedWith, []);
});

for (const [code, text] of [
  [1007, 'The audio content type (CONTENT_TYPE_AUDIO) is not supported for this model configuration.'],
  [1007, 'Request contains an invalid argument.'],
  [1008, 'something unheard of'],
  [1011, 'Internal error encountered.'],
])
  test(`${code} ${text} in a conversation: resumes, then sends the text so far to a new session, then ends`, async (t) => {
    const net = await connected(t);
    const reasons = await breakEach(net, 1, code, text);
    assert.equal(reasons.length, 1);
    assert.deepEqual(
      net.of('reconnected').map(({ resumed, seeded }) => [resumed, seeded]),
      [
        [true, false],
        [false, true],
      ],
    );
    assert.equal(net.sockets.length, 3);
  });

test('a browser that wrongly calls itself offline keeps its connection and replaces it at once', async (t) => {
  const net = await connected(t);
  net.connection.setOnline(false);
  await net.pass(MINUTE, SECOND);
  assert.deepEqual(net.life, ['new']);
  assert.equal(net.connection.offline, false);
  await net.drop(1006);
  assert.equal(net.sockets.length, 2);
  await net.accept();
  assert.deepEqual(net.life, ['new', 'down', 'resumed']);
});

test('makes one attempt while offline, then waits, and connects at once when online', async (t) => {
  const net = await connected(t);
  net.connection.setOnline(false);
  await net.drop(1006);
  assert.equal(net.sockets.length, 2);
  await net.drop(1006);
  assert.equal(net.connection.offline, true);
  await net.pass(25 * SECOND);
  assert.equal(net.sockets.length, 2);
  net.connection.setOnline(true);
  await net.pass(1, 1);
  assert.equal(net.sockets.length, 3);
  await net.accept();
  assert.deepEqual(net.life, ['new', 'down', 'resumed']);
});

for (const [seconds, answer, most] of [
  [31, false, 13],
  [3, true, 61],
])
  test(`a service that closes each connection after ${seconds} s, with an answer: ${answer}, gets ${most} tokens`, async (t) => {
    const net = await connected(t);
    let tries = 0;
    for (; net.endedWith.length === 0 && tries < 80; tries++) {
      await net.pass(seconds * SECOND, 250);
      if (answer) await net.serve({ serverContent: { generationComplete: true } });
      await net.drop(1011, 'Internal error encountered.');
      if (net.endedWith.length === 0) await net.accept();
    }
    assert.equal(tries, most);
    assert.match(net.endedWith[0].closeReason, /Internal error/);
  });

test('code that fails on each connection ends the conversation with its reason', async (t) => {
  const net = await connected(t);
  for (let tries = 0; net.endedWith.length === 0 && tries < 20; tries++) {
    net.connection.fault('boom');
    await net.pass(9 * SECOND);
    if (net.socket.readyState === 0) await net.accept();
  }
  assert.deepEqual(
    net.endedWith.map(({ detail }) => detail),
    ['boom'],
  );
  assert.equal(net.sockets.length, 6);
});

for (const reason of [
  'Token has expired',
  'invalid argument: new_session_expire_time',
  'Token has been used too many times',
])
  test(`a first connection that is refused with "${reason}" gets one other token`, async (t) => {
    virtualTime(t);
    const events = [];
    const asked = [];
    const connection = new ResilientConnection({
      ask: async (what) => asked.push(what) && { answer: answerOf() },
      report: ({ type }) => events.push(type),
      receive: () => {},
      idle: () => true,
      granted: () => {},
      up: () => events.push('up'),
      down: () => {},
      ended: () => {},
    });
    t.after(() => connection.stop(true));
    const refuse = async () => {
      await Promise.resolve();
      FakeWebSocket.last.open();
      FakeWebSocket.last.drop(1008, reason);
      for (let n = 0; n < 20; n++) await Promise.resolve();
    };
    const started = connection.start({ answer: answerOf() });
    await Promise.resolve();
    await refuse();
    assert.equal(FakeWebSocket.made.length, 2);
    if (reason.includes('used')) {
      await refuse();
      await assert.rejects(started, { closeReason: reason });
      assert.equal(FakeWebSocket.made.length, 2, 'one other token, not one after the other');
    } else {
      FakeWebSocket.last.open();
      FakeWebSocket.last.serve({ setupComplete: {} });
      await started;
      assert.ok(events.includes('ready'));
    }
    assert.deepEqual(asked, ['plan']);
  });

test('a dozen breaks in more than ten minutes are no reason to end', async (t) => {
  const net = await connected(t, { answer: answerOf({ life: 7200, ends: 7200 }) });
  for (let round = 0; round < 30; round++) {
    await net.pass(60 * SECOND, SECOND);
    await net.drop(1006);
    await net.accept();
  }
  assert.deepEqual(net.endedWith, []);
});

test('replaces a connection that was opening in the previous network', async (t) => {
  const net = await connected(t);
  await net.drop(1006);
  assert.equal(net.sockets.length, 2);
  net.connection.setOnline(false);
  await net.pass(SECOND);
  net.connection.setOnline(true);
  await net.pass(100);
  assert.equal(net.sockets.length, 3);
  assert.equal(net.sockets[1].closedWith, 1000);
  await net.accept();
  assert.deepEqual(net.life, ['new', 'down', 'resumed']);
});

test('stays without an error for an hour offline, until the session ends', async (t) => {
  const net = await connected(t, { answer: answerOf({ life: 7200, ends: 7200 }) });
  net.broker = () => {
    throw new LiveError({ reason: 'network', detail: 'The broker could not be reached.' });
  };
  net.connection.setOnline(false);
  await net.drop(1006);
  await net.pass(60 * MINUTE, SECOND);
  assert.deepEqual(net.endedWith, []);
  assert.ok(net.asked.length <= 121, 'at most two attempts a minute');
  await net.pass(61 * MINUTE, SECOND);
  assert.deepEqual(
    net.endedWith.map(({ reason }) => reason),
    ['session-ended'],
  );
});

test('reports a silent service after ten seconds and replaces the connection after twenty', async (t) => {
  const net = await connected(t);
  await net.serve({ sessionResumptionUpdate: { newHandle: 'h2', resumable: true } });
  net.connection.send({ realtimeInput: {} }, false);
  await net.pass(12 * SECOND);
  assert.equal(net.connection.silent, true);
  assert.equal(net.sockets.length, 1);
  await net.pass(9 * SECOND);
  assert.equal(net.sockets.length, 2);
  assert.equal(net.connection.silent, false);
});

test('sends silence after 30 s without input, because the service drops idle clients', async (t) => {
  const net = await connected(t);
  await net.pass(29 * SECOND);
  assert.equal(net.socket.messages.length, 1);
  await net.pass(2 * SECOND);
  assert.equal(net.socket.messages.length, 2);
  const silence = Buffer.from(net.socket.messages[1].realtimeInput.audio.data, 'base64');
  assert.deepEqual([...new Set(silence)], [0]);
  net.connection.send({ realtimeInput: { text: 'hi' } }, false);
  await net.pass(29 * SECOND);
  assert.equal(net.socket.messages.length, 3);
});

test('after a typed turn, sends silence once to get a handle that includes it', async (t) => {
  const net = await connected(t);
  net.idle = false;
  net.connection.send({ realtimeInput: { text: 'hi' } }, true);
  net.connection.spoken();
  await net.pass(5 * SECOND);
  assert.equal(net.socket.messages.length, 2);
  net.idle = true;
  await net.pass(10 * SECOND);
  assert.equal(net.socket.messages.length, 3);
  await net.serve({ sessionResumptionUpdate: { newHandle: 'h2', resumable: true } });
  await net.pass(10 * SECOND);
  assert.equal(net.socket.messages.length, 3);
});

test('a handle older than the last turn resumes with what it does not include, until a newer one comes', async (t) => {
  const net = await connected(t);
  net.connection.send({ realtimeInput: { text: 'hi' } }, true);
  net.connection.spoken();
  for (const number of [2, 3]) {
    await net.drop(1006);
    await net.pass(2 * SECOND);
    assert.equal(net.sockets.length, number);
    await net.accept();
    const [setup, context] = net.socket.messages;
    assert.deepEqual(setup.setup.sessionResumption, { handle: 'h1' });
    assert.deepEqual(context, { clientContent: { turns: TURNS, turnComplete: false } });
  }
  const [first] = net.asked.filter(({ what }) => what === 'history');
  assert.deepEqual(first, { what: 'history', missed: true });
  await net.serve({ sessionResumptionUpdate: { newHandle: 'h2', resumable: true } });
  await net.drop(1006);
  await net.pass(4 * SECOND);
  await net.accept();
  assert.deepEqual(net.socket.messages, [{ setup: { ...SETUP, sessionResumption: { handle: 'h2' } } }]);
  assert.deepEqual(net.life, ['new', 'down', 'resumed', 'down', 'resumed', 'down', 'resumed']);
});

test('sends silence to get a missing handle while muted, before the connection ends', async (t) => {
  const net = await connected(t);
  await net.serve({ sessionResumptionUpdate: { resumable: false } });
  await net.serve({ goAway: { timeLeft: '50s' } });
  await net.pass(3 * SECOND);
  assert.ok(net.socket.messages.length >= 2);
  assert.equal(net.sockets.length, 1);
  await net.serve({ sessionResumptionUpdate: { newHandle: 'h2', resumable: true } });
  await net.pass(SECOND);
  assert.equal(net.sockets.length, 2);
});

test('stop opens no further connection', async (t) => {
  const waits = {
    'while waiting to try again': (net) => net.drop(1011, 'The service is currently unavailable.'),
    'while opening': (net) => net.drop(1006),
  };
  for (const [name, begin] of Object.entries(waits)) {
    await t.test(name, async (t) => {
      FakeWebSocket.install();
      const net = await connected(t, { random: 0.5 });
      await begin(net);
      const before = net.sockets.length;
      await net.connection.stop(true);
      await net.pass(10 * SECOND);
      assert.equal(net.sockets.length, before);
      assert.equal(net.socket.readyState, 3);
      assert.deepEqual(net.endedWith, []);
    });
  }
});

test('a connection that is left is closed before the next one resumes, and costs one token', async (t) => {
  const net = await connected(t);
  const [old] = net.sockets;
  net.connection.leave(new LiveError({ reason: 'no-answer', detail: 'The model does not answer.' }), false);
  await net.pass(10, 1);
  assert.equal(old.closedWith, 1000);
  await net.accept();
  assert.deepEqual(setupOf(net.socket).sessionResumption, { handle: 'h1' });
  assert.deepEqual(
    net.asked.map(({ what, handle }) => [what, handle]),
    [['plan', 'h1']],
  );
  const [{ reason }] = net.of('reconnecting');
  assert.equal(reason, 'The model does not answer.');
  assert.deepEqual(net.life, ['new', 'down', 'resumed']);
});

test('a session that is given up is followed by a new one with the text so far', async (t) => {
  const net = await connected(t);
  net.connection.leave(new LiveError({ reason: 'no-answer', detail: 'The model does not answer.' }), true);
  await net.pass(10, 1);
  await net.accept();
  assert.deepEqual(
    net.asked.map(({ what }) => what),
    ['plan', 'history'],
  );
  assert.deepEqual(net.of('reconnected')[0].seeded, true);
  assert.deepEqual(net.life, ['new', 'down', 'new']);
});

test('a typed conversation without any handle asks for one after its first turn', async (t) => {
  const net = await connected(t, { handle: '' });
  net.connection.send({ realtimeInput: { text: 'Hello' } }, true);
  net.connection.spoken();
  net.idle = false;
  await net.pass(5 * SECOND);
  assert.equal(net.socket.messages.filter(({ realtimeInput }) => realtimeInput?.audio).length, 0);
  net.idle = true;
  await net.pass(5 * SECOND);
  assert.equal(net.socket.messages.filter(({ realtimeInput }) => realtimeInput?.audio).length, 1, 'once');
});
