/**
 * Malformed frames, made from every documented server frame: a wrong type in each field, list items that are none,
 * broken base64, text that is no JSON, and binary garbage.
 */
import { wire } from './support.js';

/** Frames with the fields that the documented ones lack. */
const MORE = [
  {
    serverContent: {
      groundingMetadata: {
        groundingChunks: [{ web: { uri: 'https://example.org/', title: 'A' } }],
        webSearchQueries: ['a'],
      },
    },
  },
  { serverContent: { modelTurn: { parts: [{ text: 'Hm.', thought: true }] } } },
  { serverContent: { modelTurn: { parts: [{ functionCall: { name: 'get_weather', args: {} } }] } } },
  { serverContent: { outputTranscription: { text: 'Well.', finished: true, languageCode: 'en-GB' } } },
  { serverContent: { waitingForInput: true } },
  { serverContent: { turnComplete: true, turnCompleteReason: 'NEED_MORE_INPUT' } },
];
const WRONG = [0, -1, 1e308, true, '', '\u0000\ud800', [], [null], [[]], {}, { a: 1 }, [{ a: null }], [5, 'x', null]];

/** Every place in a value, as a list of keys. @param {any} value @returns {(string | number)[][]} */
function places(value) {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).flatMap((key) => [[key], ...places(value[key]).map((rest) => [key, ...rest])]);
}

/** A copy of the frame with another value in one place. */
function changed(frame, path, value) {
  const copy = structuredClone(frame);
  const parent = path.slice(0, -1).reduce((at, key) => at[key], copy);
  parent[path.at(-1)] = value;
  return copy;
}

/** The documented frames and a few more. */
export const frames = [...wire('server-messages.derived.json').frames.map(({ frame }) => frame), ...MORE];

/** Each `{frame, at, value}`: a real frame with a wrong value at one place. */
export const mistyped = frames.flatMap((frame) =>
  places(frame).flatMap((path) =>
    WRONG.map((value) => ({ frame: changed(frame, path, value), at: path.join('.'), value })),
  ),
);

const audio = (data) => ({
  serverContent: { modelTurn: { parts: [{ inlineData: { mimeType: 'audio/pcm;rate=24000', data } }] } },
});
/** Audio that is no base64. */
export const brokenAudio = ['A', '====', '!!!!', 'AAA=AAA', 'AA\u0000A', 'äöü', '🙂'.repeat(9), 'A'.repeat(4001)].map(
  audio,
);

const bytes = (...list) => new Uint8Array(list).buffer;
const deep = (open, close) => open.repeat(20_000) + close.repeat(20_000);
/** What is no JSON object, as text or as bytes. */
export const garbage = [
  '',
  ' ',
  'null',
  'true',
  '5',
  '"text"',
  '[]',
  '[{"setupComplete":{}}]',
  '{',
  '{"serverContent":',
  '<html>502 Bad Gateway</html>',
  '\ufeff',
  bytes(),
  bytes(0),
  bytes(255, 254, 253),
  bytes(...Array.from({ length: 999 }, (_, n) => (n * 37) % 256)),
  ...frames.map((frame) => JSON.stringify(frame).slice(0, -1)),
];
/** JSON that is too deep for a copy to another thread. */
export const deepFrames = [
  `{"novelty":${deep('[', ']')}}`,
  `{"serverContent":{"novelty":${deep('{"a":', '}').replace('}', '1}')}}}`,
];
