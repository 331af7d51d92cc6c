/**
 * Builds the elements of the page /docs: one article per route. main.js handles events.
 */

import { create } from '../common/dom.js';
import { curl } from './curl.js';
import { example, resolve, rows } from './schema.js';

/** @typedef {import('./schema.js').Schema} Schema */
/** @typedef {{method: string, path: string, group: string, operation: Schema}} Route */

/**
 * All routes, in the order of the document's tags.
 * @param {Schema} spec
 * @returns {Route[]}
 */
export function routesOf(spec) {
  const all = Object.entries(spec.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      group: operation.tags[0],
      operation,
    })),
  );
  return spec.tags.flatMap((/** @type {{name: string}} */ tag) => all.filter((route) => route.group === tag.name));
}

/**
 * @param {Route} route
 * @param {Schema} spec
 * @param {string} origin
 * @returns {HTMLElement}
 */
export function article(route, spec, origin) {
  const { method, path, operation } = route;
  const schemas = spec.components.schemas;
  const element = create('article', '', 'route');
  element.id = operation.operationId;
  const heading = create('h3', '');
  heading.append(badge(method), ' ', create('code', path));
  element.append(heading, create('p', `${operation.summary}.`), access(operation));
  const inputs = [...parameters(operation), ...bodyRows(operation, schemas)];
  const note = bodyNote(operation, schemas);
  if (inputs.length) element.append(create('h4', 'Request'), ...note, table(['Field', 'Type', 'Description'], inputs));
  element.append(
    create('h4', 'Try it'),
    sample(curl(origin, method, path, operation, schemas), `curl command for ${method} ${path}`),
  );
  element.append(...answers(operation, schemas, `${method} ${path}`));
  return element;
}

/**
 * The section about credentials.
 * @param {Schema} spec
 * @returns {HTMLElement}
 */
export function credentials(spec) {
  const section = create('section', '', 'credentials');
  const list = create('dl', '');
  const names = /** @type {{[name: string]: string}} */ ({
    bearer: 'Authorization: Bearer …',
    service_key: 'X-API-Key: lbk_…',
    cookie: 'Cookie of this page',
  });
  for (const [name, scheme] of Object.entries(
    /** @type {{[name: string]: Schema}} */ (spec.components.securitySchemes),
  )) {
    const term = create('dt', '');
    term.append(create('code', names[name] ?? name));
    list.append(term, create('dd', withoutBackticks(scheme.description)));
  }
  section.append(
    create('h2', 'Credentials'),
    create('p', 'Send one of these with each request. The broker rejects a request with two.', 'quiet'),
    list,
  );
  return section;
}

/** @param {string} method */
export function badge(method) {
  const element = create('span', method, 'method');
  element.dataset.method = method;
  return element;
}

/** @param {Schema} operation */
function access(operation) {
  return create('p', withoutBackticks(operation.description), 'access quiet');
}

/**
 * @param {Schema} operation
 * @returns {string[][]}
 */
function parameters(operation) {
  return (operation.parameters ?? []).map((/** @type {Schema} */ one) => [
    one.name,
    one.schema.enum ? one.schema.enum.join(' | ') : (one.schema.type ?? one.schema.anyOf?.[0]?.type ?? 'string'),
    one.in === 'path'
      ? 'in the path'
      : one.in === 'header'
        ? `a header. ${withoutBackticks(one.description)}`
        : `in the URL${one.schema.default ? `; default ${one.schema.default}` : ''}`,
  ]);
}

/**
 * @param {Schema} operation
 * @param {{[name: string]: Schema}} schemas
 * @returns {string[][]}
 */
function bodyRows(operation, schemas) {
  const schema = operation.requestBody?.content['application/json'].schema;
  if (!schema) return [];
  return rows(schema, schemas).map((row) => [
    row.name,
    row.type,
    [row.required ? 'required' : '', row.rule, row.about].filter(Boolean).join('; '),
  ]);
}

/**
 * The description of the request body, if there is one.
 * @param {Schema} operation
 * @param {{[name: string]: Schema}} schemas
 */
function bodyNote(operation, schemas) {
  const schema = operation.requestBody?.content['application/json'].schema;
  const note = schema && resolve(schema, schemas).description;
  return note ? [create('p', withoutBackticks(note), 'quiet body-note')] : [];
}

/**
 * The success response with an example, and the errors.
 * @param {Schema} operation
 * @param {{[name: string]: Schema}} schemas
 * @param {string} name
 * @returns {HTMLElement[]}
 */
function answers(operation, schemas, name) {
  const all = Object.entries(/** @type {{[status: string]: Schema}} */ (operation.responses));
  const success = all.filter(([status]) => Number(status) < 400);
  const refusals = all.filter(([status]) => Number(status) >= 400);
  /** @type {HTMLElement[]} */
  const shown = [
    ...success.flatMap(([status, answer]) => {
      const heading = create('h4', `Response ${status}`);
      const [type, content] = Object.entries(/** @type {{[type: string]: Schema}} */ (answer.content ?? {}))[0] ?? [];
      if (!content?.schema.$ref) return [heading, create('p', type ?? 'No response body.', 'quiet')];
      const fields = rows(content.schema, schemas).map((row) => [row.name, row.type, row.required ? '' : 'optional']);
      /** @type {HTMLElement[]} */
      const parts = [heading, sample(JSON.stringify(example(content.schema, schemas), null, 2), `Example of ${name}`)];
      if (fields.length)
        parts.push(foldable(`${fields.length} fields`, table(['Field', 'Type', 'Description'], fields)));
      return parts;
    }),
    foldable(
      `Errors: ${refusals.map(([status]) => status).join(', ')}`,
      table(
        ['Status', 'Code', 'Meaning'],
        refusals.flatMap(([status, answer]) =>
          [...answer.description.matchAll(/`([a-z-]+)`: ([^`]+)/g)].map((match) => [status, match[1], match[2].trim()]),
        ),
      ),
    ),
  ];
  return shown;
}

/**
 * @param {string} title
 * @param {HTMLElement} content
 */
function foldable(title, content) {
  const element = create('details', '');
  element.append(create('summary', title), content);
  return element;
}

/**
 * @param {string} text
 * @param {string} label
 */
function sample(text, label) {
  const element = create('div', '', 'sample');
  const block = create('pre', text);
  block.tabIndex = 0;
  block.setAttribute('role', 'region');
  block.setAttribute('aria-label', label);
  const copy = create('button', 'Copy', 'copy');
  copy.type = 'button';
  copy.setAttribute('aria-label', `Copy: ${label}`);
  element.append(block, copy);
  return element;
}

/**
 * @param {string[]} heads
 * @param {string[][]} lines
 */
function table(heads, lines) {
  const scroll = create('div', '', 'scroll');
  const element = create('table', '');
  const head = create('tr', '');
  for (const text of heads) {
    const cell = create('th', text);
    cell.scope = 'col';
    head.append(cell);
  }
  element.append(head);
  for (const line of lines) {
    const row = create('tr', '');
    line.forEach((text, column) => {
      const cell = create('td', '');
      cell.append(column < 2 ? create('code', text) : text);
      row.append(cell);
    });
    element.append(row);
  }
  scroll.append(element);
  return scroll;
}

/** @param {string} text */
export function withoutBackticks(text) {
  return text.replaceAll('`', '');
}
