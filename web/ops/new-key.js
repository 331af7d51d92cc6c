/**
 * A new service key in its dialog: the only time that the key is shown, with a program that uses it.
 */
import { isolate } from '../common/dom.js';
import { h } from './build.js';
import { copyButton } from './copy.js';

/**
 * @param {import('./api.js').ServiceKey & {key: string}} made
 * @returns {import('./dialog.js').Result}
 */
export function shownOnce({ name, key, scopes }) {
  const output = h('input', {
    class: 'secret',
    readonly: true,
    value: key,
    'aria-label': 'The key',
    spellcheck: 'false',
    onfocus: () => output.select(),
  });
  const text = scopes.includes('token') ? request(key) : scrape(name);
  const snippet = h('textarea', {
    class: 'secret',
    readonly: true,
    rows: text.split('\n').length,
    'aria-label': 'How to use it',
    spellcheck: 'false',
    wrap: 'off',
  });
  snippet.value = text;
  const main = copyButton(key, 'Copy key', output, 'primary');
  const example = copyButton(text, 'Copy example', snippet);
  return {
    title: `Key ${isolate(name)} created`,
    body: [
      h('p', {}, h('strong', {}, 'Save the key now. It cannot be shown again.')),
      output,
      h(
        'p',
        {},
        scopes.includes('token') ? 'Send it in the header X-API-Key:' : 'For prometheus.yml, with the key in a file:',
      ),
      snippet,
      h('p', { class: 'copy' }, example.copy, main.copied, example.copied),
    ],
    foot: [main.copy],
  };
}

/** @param {string} key */
const request = (key) => `curl ${window.location.origin}/token \\
  -H 'X-API-Key: ${key}' \\
  -H 'Content-Type: application/json' -d '{}'`;

/** @param {string} name */
const scrape = (name) => `scrape_configs:
  - job_name: live-broker
    scheme: ${window.location.protocol.replace(':', '')}
    http_headers:
      X-API-Key:
        files: [/etc/prometheus/${name}.key]
    static_configs:
      - targets: [${window.location.host}]`;
