/**
 * What every view gets to work with, and what a view is. Types only: main.js makes the one desk.
 */

/**
 * `say` speaks to screen readers; `signedOut` opens the door over the view, which stays as it is.
 * `at` moves to a view: `at('/users')`.
 * @typedef {{
 *   api: import('./api.js').AdminApi, say: (text: string) => void, at: (path: string) => void,
 *   signedOut: (explanation: import('./errors.js').Explanation) => void,
 * }} Desk
 */

/**
 * `refresh` is called once the view is on the page, and again after a sign-in. `close` ends its timers and requests.
 * @typedef {{title: string, element: HTMLElement, refresh: () => void, close: () => void}} View
 */

export {};
