/**
 * `connect`, an option of LiveSession, by the official SDK. Owns: its address, its settings and the handle in its words.
 * Bundled by esbuild at test time with @google/genai, unchanged, inside. Its session is handed on as it is.
 */
import { GoogleGenAI } from '@google/genai';

/** The SDK takes an http address and makes a WebSocket's of it; it resolves after `setupComplete`. */
export function connect({ token, url, setup, callbacks, signal }) {
  const { protocol, host, pathname } = new URL(url);
  const baseUrl = `${protocol === 'ws:' ? 'http' : 'https'}://${host}`;
  const [, apiVersion] = /generativelanguage\.(\w+)\./.exec(pathname);
  const { model, generationConfig, ...config } = setup;
  const client = new GoogleGenAI({ apiKey: token, httpOptions: { apiVersion, baseUrl } });
  const opening = client.live.connect({ model, config: { ...generationConfig, ...config }, callbacks });
  const given = Promise.withResolvers();
  signal.addEventListener('abort', () => {
    given.reject(signal.reason);
    opening.then((session) => session.close());
  });
  opening.then(given.resolve, given.reject);
  return given.promise;
}
