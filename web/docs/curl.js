/**
 * Writes the curl command for a route. Pure functions.
 * Credentials stay in shell variables, so that none appears on the page.
 */

import { example, resolve } from './schema.js';

/** @typedef {import('./schema.js').Schema} Schema */

/**
 * @param {string} origin
 * @param {string} method
 * @param {string} path
 * @param {Schema} operation
 * @param {{[name: string]: Schema}} schemas
 * @returns {string}
 */
export function curl(origin, method, path, operation, schemas) {
  const url = `${origin}${path.replace(/{([a-z_]+)}/g, (_, name) => `$${name.toUpperCase()}`)}`;
  const lines = [method === 'GET' ? `curl "${url}"` : `curl -X ${method} "${url}"`];
  if (operation.security?.length) lines.push('-H "Authorization: Bearer $BEARER"');
  const schema = operation.requestBody?.content['application/json'].schema;
  if (schema) {
    const body = JSON.stringify(resolve(schema, schemas).examples?.[0] ?? example(schema, schemas, '', true));
    if (body !== '{}') lines.push("-H 'Content-Type: application/json'", `-d '${body}'`);
  }
  return lines.join(' \\\n  ');
}
