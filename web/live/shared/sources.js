/**
 * Reads the sources of an answer (`groundingMetadata`). conversation.js loads this module with the first of them.
 * Leaves the rest of a frame to protocol.js. Never throws.
 */

/** @typedef {{title: string, url: string}} Link a plain-text title and an https address */

/** A longer address is nothing that a person can judge. */
const MAX_URL = 2048;
const MAX_TITLE = 200;
const MAX_ITEMS = 30;
/** Characters that are invisible, or that change the order of the letters around them. */
const INVISIBLE = /[\p{Cc}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/gu;

/**
 * What is unreadable or odd is left out, and nothing else.
 * @param {Record<string, any>} metadata
 * @returns {{links: Link[], queries: string[]}}
 */
export function readSources({ groundingChunks, webSearchQueries }) {
  const chunks = asList(groundingChunks).flatMap((chunk) => Object.values(chunk ?? {}));
  const queries = asList(webSearchQueries).filter((query) => typeof query === 'string' && query.length <= MAX_URL);
  return { links: chunks.flatMap(readLink).slice(0, MAX_ITEMS), queries: queries.slice(0, MAX_ITEMS) };
}

/** @param {unknown} value @returns {any[]} */
const asList = (value) => (Array.isArray(value) ? value : []);

/**
 * Only plain https links: another scheme could run code in the page or leave it unnoticed, and a user name in front of
 * the host makes an address look like another host's.
 * @param {any} source
 * @returns {Link[]}
 */
function readLink(source) {
  const { uri, title } = source ?? {};
  if (typeof uri !== 'string' || uri.length > MAX_URL || !/^https:\/\//i.test(uri)) return [];
  try {
    const { href, hostname, username, password } = new URL(uri);
    if (username || password || href.length > MAX_URL) return [];
    const plain = typeof title === 'string' ? title.slice(0, MAX_TITLE).replace(INVISIBLE, '').trim() : '';
    return [{ title: plain || hostname, url: href }];
  } catch {
    return []; // no address
  }
}
