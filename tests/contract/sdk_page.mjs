/**
 * The official SDK in a page of the broker: what test_js_sdk_live.py calls.
 *
 * Owns: a spoken turn as an app would write it, and one table of calls that the SDK and the library both make.
 * Bundled by esbuild at test time with @google/genai, unchanged, inside; the library comes from the broker.
 */
import { GoogleGenAI, Modality } from '@google/genai';
import { connect } from '/live/index.js';

const CHUNK_BYTES = 640;
const CHUNK_MS = 20;
const AUDIO = { data: 'AAECAw==', mimeType: 'audio/pcm;rate=16000' };
const IMAGE = { data: '/9g=', mimeType: 'image/jpeg' };

/** Every call of a live session; each is made on a connection of its own. */
const CALLS = {
  audio: (session) => session.sendRealtimeInput({ audio: AUDIO }),
  video: (session) => session.sendRealtimeInput({ video: IMAGE }),
  text: (session) => session.sendRealtimeInput({ text: 'Grüße, "quoted" \\ and \u2028 more' }),
  'audio and text': (session) => session.sendRealtimeInput({ audio: AUDIO, text: 'both' }),
  activityStart: (session) => session.sendRealtimeInput({ activityStart: {} }),
  activityEnd: (session) => session.sendRealtimeInput({ activityEnd: {} }),
  audioStreamEnd: (session) => session.sendRealtimeInput({ audioStreamEnd: true }),
  'content, a string': (session) => session.sendClientContent({ turns: 'Hello' }),
  'content, several strings': (session) => session.sendClientContent({ turns: ['Hello', 'again'] }),
  'content, one turn': (session) =>
    session.sendClientContent({ turns: { role: 'user', parts: [{ text: 'Hello' }] }, turnComplete: true }),
  'content, open turns': (session) =>
    session.sendClientContent({
      turns: [
        { role: 'user', parts: [{ text: 'One?' }] },
        { role: 'model', parts: [{ text: 'Two.' }] },
      ],
      turnComplete: false,
    }),
  'content, nothing': (session) => session.sendClientContent({}),
  'tool response': (session) =>
    session.sendToolResponse({ functionResponses: { id: 'call_1', name: 'get_time', response: { result: 'ok' } } }),
  'tool responses': (session) =>
    session.sendToolResponse({
      functionResponses: [
        { id: 'call_1', name: 'get_time', response: { result: 'ok' }, scheduling: 'WHEN_IDLE' },
        { id: 'call_2', name: 'get_time', response: { output: [1, 2] } },
      ],
    }),
  'context, instruction': (session) => session.sendContextUpdate({ systemInstruction: 'New rules.' }),
  'context, no tools': (session) => session.sendContextUpdate({ systemInstruction: 'New rules.', tools: [] }),
  'media, audio': (session) => session.sendRealtimeInput({ media: AUDIO }),
  'media, image': (session) => session.sendRealtimeInput({ media: IMAGE }),
};

export const callNames = Object.keys(CALLS);

/** Ask the broker for a token, as an app's page does. */
export async function askToken(bearer) {
  const answer = await fetch('/token', {
    method: 'POST',
    headers: { Authorization: `Bearer ${bearer}` },
    credentials: 'omit',
  });
  if (!answer.ok) throw new Error(`POST /token: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** The SDK takes an http address and makes a WebSocket's of it. */
function sdk({ token, url, api_version: apiVersion }) {
  const { protocol, host } = new URL(url);
  const baseUrl = `${protocol === 'ws:' ? 'http' : 'https'}://${host}`;
  return new GoogleGenAI({ apiKey: token, httpOptions: { apiVersion, baseUrl } });
}

/** Says `speech` (base64 of 16 kHz PCM) in real time; what came back, up to the end of the turn. */
export async function talk(answer, speech) {
  const heard = { setupCompletes: 0, audio: [], mimeTypes: [], input: '', output: '', turnComplete: false };
  const turn = Promise.withResolvers();
  const session = await sdk(answer).live.connect({
    model: answer.model,
    config: { responseModalities: [Modality.AUDIO] },
    callbacks: {
      onmessage: (message) => {
        if (message.setupComplete) heard.setupCompletes += 1;
        const content = message.serverContent ?? {};
        for (const { inlineData } of content.modelTurn?.parts ?? []) {
          if (!inlineData) continue;
          heard.audio.push(inlineData.data);
          heard.mimeTypes.push(inlineData.mimeType);
        }
        heard.input += content.inputTranscription?.text ?? '';
        heard.output += content.outputTranscription?.text ?? '';
        if (content.turnComplete) turn.resolve();
      },
      onerror: (event) => turn.reject(new Error(event.message ?? 'the socket failed')),
      onclose: ({ code, reason }) => turn.reject(new Error(`closed: ${code} ${reason}`)),
    },
  });
  await stream(session, speech);
  await turn.promise;
  heard.turnComplete = true;
  session.close();
  return heard;
}

async function stream(session, speech) {
  const bytes = Uint8Array.from(atob(speech), (character) => character.charCodeAt(0));
  let due = performance.now();
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const data = btoa(String.fromCharCode(...bytes.subarray(at, at + CHUNK_BYTES)));
    session.sendRealtimeInput({ audio: { data, mimeType: 'audio/pcm;rate=16000' } });
    due += CHUNK_MS;
    await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
  }
}

/** One connection by the SDK and one by the library, with the same setup and the same call. */
export async function callBoth(answer, name) {
  const ended = Promise.withResolvers();
  const bySdk = await sdk(answer).live.connect({
    model: answer.model,
    config: { responseModalities: [Modality.AUDIO] },
    callbacks: { onmessage: () => {}, onclose: (event) => ended.resolve(event) },
  });
  CALLS[name](bySdk);
  const sdkClose = await leave(bySdk, ended.promise);

  const left = Promise.withResolvers();
  const byLibrary = await connect({ ...answer, callbacks: { onclose: (event) => left.resolve(event) } });
  CALLS[name](byLibrary);
  const libraryClose = await leave(byLibrary, left.promise);
  return { sdk: sdkClose, library: libraryClose };
}

/** Gives the server a moment to refuse what it was sent, then hangs up. */
async function leave(session, closed) {
  const waited = new Promise((resolve) => setTimeout(resolve, 150));
  await Promise.race([closed, waited]);
  session.close();
  const { code, reason } = await closed;
  return { code, reason };
}
