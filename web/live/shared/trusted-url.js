/**
 * Makes the address of a worker or worklet acceptable to a page that requires Trusted Types.
 *
 * Owns the policy `live-broker`, which accepts the library's own files and nothing else. A page with the CSP
 * `require-trusted-types-for 'script'; trusted-types live-broker` can use the library and cannot start other workers.
 */

const here = import.meta.url;
/** A bundler puts this module and the library's files where it likes, on the page's origin; webpack gives a file: URL. */
const isBundled = !here.endsWith('/shared/trusted-url.js') || here.startsWith('file:');
const LIBRARY = isBundled ? `${globalThis.location?.origin}/` : new URL('..', here).href;

/** @typedef {{createScriptURL: (url: string) => any}} Policy */
/** @type {{createPolicy: (name: string, rules: Policy) => Policy} | undefined} */
const trustedTypes = /** @type {any} */ (globalThis).trustedTypes;
/** @type {Policy | undefined} */
let policy;

/**
 * Returns the address in the form that the browser accepts.
 * @param {URL} url of a file of this library
 * @returns {URL}
 */
export function trustedUrl(url) {
  if (!trustedTypes) return url;
  policy ??= trustedTypes.createPolicy('live-broker', { createScriptURL: accept });
  return policy.createScriptURL(url.href);
}

/** @param {string} url */
function accept(url) {
  if (!url.startsWith(LIBRARY)) throw new TypeError('not a library file');
  return url;
}
