/**
 * The addresses of this library's own scripts that are started rather than imported: two workers, two worklets.
 *
 * Owns: the Trusted Types policy `live-broker`, which admits these and nothing else. A page whose CSP says
 * `require-trusted-types-for 'script'; trusted-types live-broker` can use the library and no other worker.
 */

/** @param {string} path */
const own = (path) => new URL(path, import.meta.url).href;
const OWN = new Set([
  own('../network/network-worker.js'),
  own('../media/recorder-worker.js'),
  own('../audio/worklets/capture-processor.js'),
  own('../audio/worklets/playback-processor.js'),
]);

/** @typedef {{createScriptURL: (url: string) => any}} Policy */
/** @type {{createPolicy: (name: string, rules: object) => Policy} | undefined} */
const trustedTypes = /** @type {any} */ (globalThis).trustedTypes;
/** @type {Policy | undefined} */
let policy;

/**
 * A script of ours in the form that the browser wants it in.
 * @param {'../network/network-worker.js' | '../media/recorder-worker.js' | '../audio/worklets/capture-processor.js' | '../audio/worklets/playback-processor.js'} path
 * @returns {URL}
 */
export function scriptUrl(path) {
  const url = own(path);
  if (!trustedTypes) return new URL(url);
  policy ??= trustedTypes.createPolicy('live-broker', { createScriptURL: admit });
  return policy.createScriptURL(url);
}

/** @param {string} url */
function admit(url) {
  if (!OWN.has(url)) throw new TypeError('not a script of this library');
  return url;
}
