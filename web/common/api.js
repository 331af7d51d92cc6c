/**
 * Calls the broker's JSON routes for our pages: account, sign-in, sign-out and profiles.
 * Keeps the CSRF token in memory only. The library calls `POST /token` itself and gets its headers from here.
 */

/** The longest wait for a response. `POST /token` does not go through here. */
const TIMEOUT_MS = 15_000;

/**
 * @typedef {{name: string, plan: string, roles: string[], csrf_token?: string,
 *   limits: {minutes_per_day: {limit: number, used: number}, budget?: Budget[]}}} Account
 * @typedef {{policy: string, limit: string | number, used: string | number, currency: string | null}} Budget
 * @typedef {{name: string, description: string, models: string[], voice: string | null, default: boolean}} Profile
 * @typedef {{field: string, problem: string}} FieldError
 */

/** A rejected or failed request, with the members of the broker's problem+json. */
export class ApiError extends Error {
  /**
   * @param {string} code  the stable code; `network` when there was no answer
   * @param {number} status
   * @param {{detail?: string, hint?: string, retry_after_seconds?: number, request_id?: string, fields?: FieldError[]}} [problem]
   */
  constructor(code, status, problem = {}) {
    super(`${code} (${status})`);
    this.name = 'ApiError';
    this.code = code;
    this.status = status;
    this.detail = problem.detail;
    this.hint = problem.hint;
    this.retryAfterSeconds = problem.retry_after_seconds;
    this.requestId = problem.request_id;
    this.fields = problem.fields ?? [];
  }
}

export class Api {
  #csrfToken = '';

  /** The header that a request with a cookie must send. @returns {Record<string, string>} */
  csrfHeaders() {
    return this.#csrfToken ? { 'X-CSRF-Token': this.#csrfToken } : {};
  }

  /** Who is signed in here, or null. @returns {Promise<Account | null>} */
  async me() {
    try {
      const account = /** @type {Account} */ (await this.request('GET', '/me'));
      this.#csrfToken = account.csrf_token ?? '';
      return account;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  }

  /**
   * Signs in. The response also has an access token for other clients. The page ignores it and uses the cookie.
   * @param {string} username
   * @param {string} password
   */
  async login(username, password) {
    const answer = await this.request('POST', '/auth/login', { username, password });
    this.#csrfToken = /** @type {{csrf_token: string}} */ (answer).csrf_token;
  }

  async logout() {
    await this.request('POST', '/auth/logout', {});
    this.#csrfToken = '';
  }

  /** @returns {Promise<Profile[]>} */
  async profiles() {
    const answer = await this.request('GET', '/profiles');
    return /** @type {{profiles: Profile[]}} */ (answer).profiles;
  }

  /**
   * Calls one route. Rejects with an ApiError, or with the signal's reason if the signal aborts.
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {AbortSignal} [signal]
   * @returns {Promise<unknown>}
   */
  async request(method, path, body, signal) {
    /** @type {Response} */
    let response;
    try {
      response = await fetch(path, {
        method,
        credentials: 'same-origin',
        cache: 'no-store',
        headers: {
          Accept: 'application/json',
          ...(body && { 'Content-Type': 'application/json' }),
          ...this.csrfHeaders(),
        },
        body: body && JSON.stringify(body),
        signal: withTimeout(signal),
      });
    } catch {
      signal?.throwIfAborted();
      throw new ApiError('network', 0);
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    throw new ApiError(answer.code ?? 'internal', response.status, answer);
  }
}

/** Aborted with the given signal, or after the timeout. Not `AbortSignal.any`, which is too new. @param {AbortSignal} [signal] */
function withTimeout(signal) {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  if (!signal) return timeout;
  const both = new AbortController();
  for (const one of [timeout, signal]) {
    if (one.aborted) both.abort(one.reason);
    one.addEventListener('abort', () => both.abort(one.reason), { once: true, signal: both.signal });
  }
  return both.signal;
}
