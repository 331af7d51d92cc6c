/**
 * Helpers of the library's tests: wire samples, a socket whose server is the test, a virtual clock, a loopback server.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const WIRE = new URL('../wire/', import.meta.url);

/** A file of tests/wire/. @param {string} name */
export const wire = (name) => JSON.parse(readFileSync(new URL(name, WIRE), 'utf8'));

/** @param {string} suffix */
export const wireNames = (suffix) => readdirSync(WIRE).filter((name) => name.endsWith(suffix));

const { setTimeout: wait, setImmediate: turn } = globalThis;

/**
 * Lets promises, MessagePorts and timers of 5 ms continue. It waits in real time, even if the test mocks its timers.
 * It waits in steps, so that after a delay of the process the timers do not all expire at once.
 */
export async function settle() {
  for (let step = 0; step < 4; step++) await new Promise((resolve) => wait(resolve, 5));
}

/**
 * A clock that the test moves. The returned function lets milliseconds pass and runs the timers and their results.
 * @param {import('node:test').TestContext} t
 */
export function virtualTime(t) {
  const apis = /** @type {any} */ (['setInterval', 'setTimeout']);
  try {
    t.mock.timers.enable({ apis });
  } catch {
    t.mock.timers.enable(apis); // Node 18 expects the list alone
  }
  let now = 1_000_000;
  t.mock.method(performance, 'now', () => now);
  t.mock.method(Date, 'now', () => now);
  return async function pass(ms, step = 50) {
    for (let left = ms; left > 0; left -= step) {
      const part = Math.min(step, left);
      now += part;
      t.mock.timers.tick(part);
      for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => turn(resolve));
    }
  };
}

/** Replaces the browser's WebSocket. The test plays the server with `serve`, `open` and `drop`. */
export class FakeWebSocket {
  static OPEN = 1;
  /** @type {FakeWebSocket[]} */
  static made = [];
  readyState = 0;
  bufferedAmount = 0;
  binaryType = 'blob';
  /** @type {string[]} */
  sent = [];

  /** @param {string} url */
  constructor(url) {
    this.url = url;
    FakeWebSocket.made.push(this);
  }

  static get last() {
    return FakeWebSocket.made.at(-1);
  }

  static install() {
    FakeWebSocket.made = [];
    globalThis.WebSocket = FakeWebSocket;
  }

  get messages() {
    return this.sent.map((frame) => JSON.parse(frame));
  }

  send(frame) {
    this.sent.push(frame);
  }

  open() {
    this.readyState = 1;
    this.onopen({});
  }

  /** A frame from the server. `as` converts it to a type that a browser may deliver. */
  serve(message, as = (text) => new TextEncoder().encode(text).buffer) {
    this.onmessage({ data: as(typeof message === 'string' ? message : JSON.stringify(message)) });
  }

  drop(code, reason = '') {
    this.readyState = 3;
    this.onclose({ code, reason });
  }

  close(code) {
    this.closedWith = code;
    if (this.readyState !== 3) queueMicrotask(() => this.drop(code));
  }
}

/**
 * An HTTP server on loopback for one test. `answer(request, body)` returns [status, object, headers].
 * @param {import('node:test').TestContext} test
 */
export async function serve(test, answer) {
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const [status, value, headers = {}] = await answer(request, body);
    response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close', ...headers });
    response.end(typeof value === 'string' ? value : JSON.stringify(value));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/`;
}
