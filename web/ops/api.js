/**
 * The admin API, one method per route, with the types of its responses.
 * It needs a sign-in with the operator role. Errors reach the caller as ApiError.
 */
import { Api } from '../common/api.js';

/** Times are RFC 3339 in UTC. `key` identifies a person. */
/** @typedef {{plan: string | null, rate: string | null, sessions: number | null, minutes_per_day: number | null, session_minutes: number | null, budget_per_day: string | null, budget_per_month: string | null, minutes_per_month: number | null}} Overrides */
/** Amounts are decimal numbers as text. @typedef {{budget_per_day: string | null, budget_per_month: string | null, minutes_per_month: number | null}} Budget */
/** @typedef {{policy: string, limit: string | number, used: string | number, currency: string | null, resets_at: string}} BudgetLeft */
/** @typedef {keyof Overrides} LimitName */
/** Null: no limit, or no override. @typedef {{rate: string | null, sessions: number | null, minutes_per_day: number | null} & Budget} SharedLimits */
/**
 * `limits` apply to all members together: the `overrides`, and otherwise the `settings`.
 * @typedef {{
 *   name: string, rule: string, members: number, open_sessions: number, minutes_today: number, minutes_month: number,
 *   cost_today: string | null, cost_month: string | null, currency: string | null, limits: SharedLimits,
 *   settings: SharedLimits, overrides: SharedLimits, version: number,
 * }} Team
 */
/** @typedef {{rule: string, plan: string, rate: string, sessions: number, minutes_per_day: number, session_minutes: number} & Budget} Limits */
/** @typedef {{key: string, issuer: string, subject: string, name: string}} Person */
/**
 * @typedef {Person & {
 *   own: boolean, plan: string, team: string | null, roles: string[], blocked: {at: string, reason: string} | null, created_at: string | null,
 *   open_sessions: number, minutes_today: number, limits: Limits, overrides: Overrides, version: number,
 * }} User
 */
/**
 * @typedef {{
 *   profile: string, rule: string, left: {policy: string, remaining: number, reset: number}[], open_sessions: number,
 *   used_minutes: number, budgets: BudgetLeft[], answer: string, status: number, detail: string | null,
 * }} NextToken
 */
/** @typedef {User & {next_token: NextToken}} UserInFull */
/**
 * @typedef {Person & {
 *   id: string, team: string | null, profile: string, model: string, state: string, opened_at: string, ends_at: string, held_until: string,
 *   heartbeat_at: string | null, ended_at: string | null, seconds: number, client: Record<string, unknown>,
 *   report: Record<string, unknown> | null, report_problems: string[],
 *   cost: {amount: string, currency: string, basis: 'time' | 'tokens'} | null,
 * }} Session
 */
/** @typedef {{name: string, rate: string, sessions: number, minutes_per_day: number, session_minutes: number, reserved_sessions: number} & Budget} Plan */
/** Without a currency, limit and used are minutes. @typedef {{policy: string, limit: string | number, used: string | number, currency: string | null, resets_at: string}} BudgetUse */
/** @typedef {{currency: string | null, today: string, this_month: string, projected: string | null, budgets: BudgetUse[]}} ProjectSpent */
/** @typedef {Person & {known: boolean, today: string, this_month: string, budgets: BudgetUse[]}} Spender */
/** @typedef {{kind: 'user' | 'key' | 'team' | 'project', key: string, name: string, percent: number} & BudgetUse} NearLimit */
/**
 * @typedef {{
 *   now: string, version: string, project: {sessions: {limit: number, open: number}},
 *   today: {tokens: number, refusals: number, minutes: number}, first_session_at: string | null,
 *   last_hour: {refusals: Record<string, number>, most_refused: {actor: string, refusals: number}[]},
 *   budgets_near_limits: NearLimit[], spending: ProjectSpent, plans: Plan[], profiles: string[],
 *   issuers: {issuer: string, label: string}[],
 * }} Overview
 */
/**
 * @typedef {{
 *   id: string, name: string, plan: string, scopes: string[], profiles: string[] | null, on_behalf_of: string | null,
 *   user_plan: string, plans: string[],
 *   created_at: string, expires_at: string | null, revoked_at: string | null, last_used_at: string | null,
 * }} ServiceKey
 */
/**
 * @typedef {{
 *   kind: string, issuer: string, subject: string, key: string | null, reason: string, created_at: string,
 *   issued_before: string | null, can_unblock: boolean,
 * }} Block
 */
/**
 * @typedef {{
 *   id: number, at: string, actor: string, action: string, outcome: string, request_id: string, session_id: string | null,
 *   detail: Record<string, unknown> | null, times: number,
 * }} AuditEntry
 */
/** `profiles` null stands for all. @typedef {{suspended: boolean, reason: string | null, profiles: string[] | null, renewals: boolean, since: string | null, by: string | null}} Suspension */
/** @typedef {{p50: number, p95: number, p99: number}} Percentiles */
/**
 * `minutes` were talked. `charged_minutes` are charged for the same tokens.
 * @typedef {{
 *   at: string, tokens: number, refusals: Record<string, number>, mint_ms: Percentiles | null,
 *   speech_end_to_audio_ms: Percentiles | null, open_sessions: number, minutes: number, charged_minutes: number,
 * }} Point
 */
/** @typedef {'hour' | 'day' | 'week'} Range */
/** `cost` leaves out the unpriced sessions. @typedef {{cost: string | null, unpriced_sessions: number}} SummedCost */
/**
 * @typedef {{
 *   range: Range, from: string, to: string, step_seconds: number, currency: string | null, points: Point[],
 *   totals: SummedCost & {
 *     tokens: number, refusals: Record<string, number>, minutes: number, charged_minutes: number,
 *     mint_ms: Percentiles | null, speech_end_to_audio_ms: Percentiles | null, underruns: number,
 *     implausible_reports: number,
 *   },
 *   minutes_by_user: (Person & SummedCost & {minutes: number, charged_minutes: number})[],
 * }} Usage
 */
/** @template T @typedef {{rows: T[], next: string | null}} Page */
/** @typedef {Record<string, string | number | null | undefined>} Query */

export class AdminApi extends Api {
  /** @param {AbortSignal} [signal] @returns {Promise<Overview>} */
  overview(signal) {
    return this.#get('/admin/overview', {}, signal);
  }

  /** @param {AbortSignal} [signal] @returns {Promise<Suspension>} */
  suspension(signal) {
    return this.#get('/admin/suspension', {}, signal);
  }

  /** Replaces the suspension in force. @param {{reason: string, profiles?: string[], renewals: boolean}} terms @returns {Promise<Suspension>} */
  suspend(terms) {
    return this.#post('/admin/suspension', { suspended: true, ...terms });
  }

  /** @returns {Promise<Suspension>} */
  resume() {
    return this.#post('/admin/suspension', { suspended: false });
  }

  /** @param {Range} range @param {AbortSignal} [signal] @returns {Promise<Usage>} */
  usage(range, signal) {
    return this.#get('/admin/usage', { range }, signal);
  }

  /** Where a download of the usage of any days begins. @param {Record<string, string>} query */
  usageExportUrl(query) {
    return `/admin/usage/export?${new URLSearchParams(query)}`;
  }

  /** @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<Spender>>} */
  spending(query, signal) {
    return this.#page('/admin/spending', 'spending', query, signal);
  }

  /** @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<User>>} */
  users(query, signal) {
    return this.#page('/admin/users', 'users', query, signal);
  }

  /** @param {string} key @param {AbortSignal} [signal] @returns {Promise<UserInFull>} */
  user(key, signal) {
    return this.#get(`/admin/users/${encodeURIComponent(key)}`, {}, signal);
  }

  /** @param {{username: string, password: string, plan: string, roles: string[]}} user @returns {Promise<User>} */
  addUser(user) {
    return this.#post('/admin/users', user);
  }

  /** @param {string} key @param {number} version @param {Partial<Overrides>} changes @returns {Promise<User>} */
  async setLimits(key, version, changes) {
    const answer = await this.request('PATCH', `/admin/users/${encodeURIComponent(key)}/limits`, {
      version,
      ...changes,
    });
    return /** @type {User} */ (answer);
  }

  /** @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<Team>>} */
  teams(query, signal) {
    return this.#page('/admin/teams', 'teams', query, signal);
  }

  /** @param {string} name @param {AbortSignal} [signal] @returns {Promise<Team>} */
  team(name, signal) {
    return this.#get(`/admin/teams/${encodeURIComponent(name)}`, {}, signal);
  }

  /** @param {string} name @param {number} version @param {Partial<SharedLimits>} changes @returns {Promise<Team>} */
  async setTeamLimits(name, version, changes) {
    const path = `/admin/teams/${encodeURIComponent(name)}/limits`;
    return /** @type {Team} */ (await this.request('PATCH', path, { version, ...changes }));
  }

  /** @param {string} key @param {string | null} team */
  setTeam(key, team) {
    return this.#act(key, 'team', { team });
  }

  /** @param {string} key @param {string} reason @returns {Promise<{honoured_until: string | null}>} */
  block(key, reason) {
    return this.#act(key, 'block', reason ? { reason } : {});
  }

  /** @param {string} key */
  unblock(key) {
    return this.#act(key, 'unblock');
  }

  /** @param {string} key @param {string[]} roles */
  setRoles(key, roles) {
    return this.#act(key, 'roles', { roles });
  }

  /** @param {string} key */
  signOut(key) {
    return this.#act(key, 'sign-out');
  }

  /** @param {string} key @param {string} password */
  setPassword(key, password) {
    return this.#act(key, 'password', { password });
  }

  /** @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<Session>>} */
  sessions(query, signal) {
    return this.#page('/admin/sessions', 'sessions', query, signal);
  }

  /** @param {string} id @returns {Promise<{id: string, state: string, honoured_until: string | null}>} */
  endSession(id) {
    return this.#post(`/admin/sessions/${encodeURIComponent(id)}/end`, {});
  }

  /** @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<ServiceKey>>} */
  keys(query, signal) {
    return this.#page('/admin/keys', 'keys', query, signal);
  }

  /** @param {object} key @returns {Promise<ServiceKey & {key: string}>} */
  createKey(key) {
    return this.#post('/admin/keys', key);
  }

  /** @param {string} id */
  revokeKey(id) {
    return this.#post(`/admin/keys/${encodeURIComponent(id)}/revoke`, {});
  }

  /** @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<Block>>} */
  blocks(query, signal) {
    return this.#page('/admin/blocks', 'blocks', query, signal);
  }

  /** Unblocks one token, or a whole issuer if there is no `jti`. @param {string} issuer @param {string} [jti] */
  removeBlock(issuer, jti) {
    return this.#post('/admin/blocks/remove', { issuer, ...(jti && { jti }) });
  }

  /** @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<AuditEntry>>} */
  audit(query, signal) {
    return this.#page('/admin/audit', 'entries', query, signal);
  }

  /** @param {string} path @param {Query} query @param {AbortSignal} [signal] @returns {Promise<any>} */
  #get(path, query, signal) {
    const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
    const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
    return this.request('GET', search ? `${path}?${search}` : path, undefined, signal);
  }

  /** @param {string} path @param {string} name @param {Query} query @param {AbortSignal} [signal] @returns {Promise<Page<any>>} */
  async #page(path, name, query, signal) {
    const answer = await this.#get(path, query, signal);
    return { rows: answer[name], next: answer.next };
  }

  /** @param {string} path @param {object} body @returns {Promise<any>} */
  #post(path, body) {
    return this.request('POST', path, body);
  }

  /** @param {string} key @param {string} action @param {object} [body] @returns {Promise<any>} */
  #act(key, action, body = {}) {
    return this.#post(`/admin/users/${encodeURIComponent(key)}/${action}`, body);
  }
}
