/**
 * A page with one button around the library, for tests that look closer than the demo page lets them.
 * `bench.session` is a LiveSession; every event it gives is kept in `bench.events` with its time
 * (`keep`: only these).
 */
import * as live from '/live/index.js';

const SAID = ['caption', 'sentence', 'thought', 'grounding', 'usage', 'message'];
const DONE = ['toolcall', 'toolresult', 'toolcancel', 'video', 'recording'];
const LINE = ['reconnecting', 'reconnected', 'network', 'clock', 'stalled', 'emptyturn', 'contextlost'];
const KEPT = ['statechange', 'error', 'diagnostics', 'device', 'echo', ...SAID, ...DONE, ...LINE];

globalThis.bench = {
  live,
  events: [],
  session: null,

  /** A test's own functions are in `globalThis.tools`, put there by an init script. */
  make({ bearer, body, tools = globalThis.tools ?? {}, keep = KEPT, ...options }) {
    this.bearer = bearer;
    const tokenSource = live.TokenSource.endpoint('/token', { headers: { Authorization: `Bearer ${bearer}` }, body });
    this.session = new live.LiveSession({ tokenSource, tools, ...options });
    for (const type of keep) {
      this.session.addEventListener(type, ({ detail }) =>
        this.events.push({ type, at: Date.now(), detail: plain(detail) }),
      );
    }
    return this.session.prepare();
  },

  /** What the button does. */
  async go(options) {
    try {
      await this.session.start(options);
      return null;
    } catch (error) {
      return plain(error);
    }
  },

  of(type) {
    return this.events.filter((event) => event.type === type);
  },
};

const plain = (value) => JSON.parse(JSON.stringify(value));
document.querySelector('#go').addEventListener('click', () => (bench.going = bench.go(bench.options)));
