/**
 * The two types that every view of the operators' page uses. main.js makes the one context.
 */

/**
 * `announce` speaks to screen readers. `navigate` opens a view: `navigate('/users')`, also with filters after a `?`.
 * `signedOut` opens the sign-in form above the view and leaves the view as it is.
 * `suspend` opens the dialog that suspends new tokens.
 * @typedef {{
 *   api: import('./api.js').AdminApi, announce: (text: string) => void, navigate: (path: string) => void,
 *   signedOut: (explanation: import('./errors.js').Explanation) => void, suspend: () => void,
 * }} ViewContext
 */

/**
 * `refresh` runs once the view is on the page, and again after a sign-in. `close` ends its timers and requests.
 * @typedef {{title: string, element: HTMLElement, refresh: () => void, close: () => void}} View
 */

export {};
