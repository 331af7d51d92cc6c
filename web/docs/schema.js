/**
 * Turns JSON schemas into table rows and example values. Pure functions.
 * It reads schemas as pydantic writes them: $ref, anyOf with null, properties, items.
 */

/** @typedef {{[name: string]: any}} Schema */
/** @typedef {{name: string, type: string, required: boolean, rule: string, about: string}} Row */

const DEEPEST = 6;
const BOUNDS = /** @type {const} */ ([
  ['minimum', 'maximum', ''],
  ['minLength', 'maxLength', ' characters'],
  ['minItems', 'maxItems', ' items'],
]);

/**
 * Follows a $ref.
 * @param {Schema} schema
 * @param {{[name: string]: Schema}} schemas
 * @returns {Schema}
 */
export function resolve(schema, schemas) {
  const name = typeof schema.$ref === 'string' ? schema.$ref.split('/').pop() : undefined;
  return name ? (schemas[name] ?? {}) : schema;
}

/**
 * Removes the null that only marks a value as optional.
 * @param {Schema} schema
 * @returns {{schema: Schema, nullable: boolean}}
 */
function unwrapped(schema) {
  const choices = /** @type {Schema[] | undefined} */ (schema.anyOf);
  if (!choices) return { schema, nullable: false };
  const real = choices.filter((choice) => choice.type !== 'null');
  return { schema: { ...schema, ...real[0] }, nullable: real.length < choices.length };
}

/**
 * @param {Schema} given
 * @param {{[name: string]: Schema}} schemas
 * @returns {string}
 */
export function typeName(given, schemas) {
  const { schema: inner, nullable } = unwrapped(given);
  const schema = resolve(inner, schemas);
  const or = nullable ? ' or null' : '';
  if (schema.const !== undefined) return JSON.stringify(schema.const) + or;
  if (schema.enum) return schema.enum.map((/** @type {unknown} */ one) => JSON.stringify(one)).join(' | ') + or;
  if (schema.type === 'array') return `list of ${schema.items ? typeName(schema.items, schemas) : 'anything'}${or}`;
  return `${schema.type ?? 'anything'}${or}`;
}

/**
 * One row per field. Fields of nested objects have a path as their name.
 * @param {Schema} given
 * @param {{[name: string]: Schema}} schemas
 * @param {string} path
 * @param {number} depth
 * @returns {Row[]}
 */
export function rows(given, schemas, path = '', depth = 0) {
  const schema = resolve(unwrapped(given).schema, schemas);
  if (depth >= DEEPEST || !schema.properties) return [];
  return Object.entries(/** @type {{[name: string]: Schema}} */ (schema.properties)).flatMap(([name, field]) => {
    const inner = unwrapped(field).schema;
    const within = inner.type === 'array' && inner.items ? inner.items : inner;
    const full = path + name;
    const row = {
      name: full,
      type: typeName(field, schemas),
      required: (schema.required ?? []).includes(name),
      rule: bounds(inner),
      about:
        ['string', 'number', 'boolean'].includes(typeof field.default) && field.default !== ''
          ? `default ${field.default}`
          : '',
    };
    return [row, ...rows(within, schemas, `${full}${inner.type === 'array' ? '[]' : ''}.`, depth + 1)];
  });
}

/**
 * @param {Schema} schema
 * @returns {string}
 */
function bounds(schema) {
  return BOUNDS.map(([least, most, unit]) => {
    const [from, to] = [schema[least], schema[most]];
    if (from !== undefined && to !== undefined) return `${from} to ${to}${unit}`;
    if (to !== undefined) return `at most ${to}${unit}`;
    return from === undefined ? '' : `at least ${from}${unit}`;
  })
    .filter(Boolean)
    .join(', ');
}

/**
 * An example value for the schema.
 * @param {Schema} given
 * @param {{[name: string]: Schema}} schemas
 * @param {string} name
 * @param {boolean} requiredOnly
 * @param {number} depth
 * @returns {unknown}
 */
export function example(given, schemas, name = '', requiredOnly = false, depth = 0) {
  const { schema: inner, nullable } = unwrapped(given);
  const schema = resolve(inner, schemas);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const sample = SAMPLES[name];
  if ((sample === null && nullable) || (Array.isArray(sample) && schema.type === 'array')) return sample;
  if (schema.properties && depth < DEEPEST) {
    const required = schema.required ?? [];
    return Object.fromEntries(
      Object.entries(/** @type {{[name: string]: Schema}} */ (schema.properties))
        .filter(([field]) => !requiredOnly || required.includes(field))
        .map(([field, of]) => [field, example(of, schemas, field, requiredOnly, depth + 1)]),
    );
  }
  if (schema.type === 'array')
    return schema.items && depth < DEEPEST ? [example(schema.items, schemas, name, requiredOnly, depth + 1)] : [];
  if (name in SAMPLES) return SAMPLES[name];
  return nullable ? null : exampleOfType(schema);
}

/** @param {Schema} schema @returns {unknown} */
function exampleOfType({ type, minimum }) {
  if (type === 'integer' || type === 'number') return minimum ?? 1;
  if (type === 'boolean') return true;
  if (type === 'object') return {};
  return type === 'string' ? '…' : null;
}

const TIME = '2026-11-23T10:15:00Z';
/** Example values by field name. @type {{[name: string]: unknown}} */
const SAMPLES = {
  token: 'auth_tokens/…',
  access_token: 'eyJ…',
  csrf_token: '5d0c…',
  issuer: 'live-broker',
  subject: 'alice',
  name: 'alice',
  username: 'alice',
  password: 'a long password',
  plan: 'default',
  profile: 'default',
  rate: '10/minute',
  policy: '10/minute',
  id: 'ses_…',
  session_id: 'ses_…',
  request_id: '5f0c6e1fb0a94d1e',
  model: 'models/gemini-3.8-live',
  api_version: 'v1alpha',
  url: 'wss://…',
  at: TIME,
  now: TIME,
  from: TIME,
  to: TIME,
  created_at: TIME,
  opened_at: TIME,
  ends_at: TIME,
  held_until: TIME,
  expires_at: TIME,
  connect_by: TIME,
  renew_after: TIME,
  honoured_until: TIME,
  expires_in: 900,
  connect_within: 120,
  heartbeat_seconds: 30,
  actor: 'live-broker:olga',
  action: 'limits.set',
  outcome: 'ok',
  rule: 'default',
  answer: 'granted',
  state: 'open',
  status: 200,
  next: null,
  key: '4b0e…',
  version: 0,
  reason: 'left',
  minutes_per_day: 60,
  session_minutes: 30,
  sessions: 2,
  limit: 60,
  open: 1,
  used: 15,
  remaining: 9,
  reset: 42,
  reported_at: TIME,
  handle: null,
  on_behalf_of: null,
  auth: { in: 'query', name: 'access_token' },
  audio: { input: 'audio/pcm;rate=16000', output: 'audio/pcm;rate=24000' },
  setup: { model: 'models/gemini-3.8-live' },
  locked: ['model', 'systemInstruction', 'tools'],
  ttl_seconds: null,
  client: {},
  detail: null,
  roles: [],
  blocked: null,
};
