/**
 * A panel that drops from the bar: closes on Escape, giving the focus back, and on a click elsewhere.
 * Owns: the `details` element's closing. Leaves: what is inside to whoever opens it.
 */

/**
 * @param {HTMLDetailsElement} details
 * @param {() => void} whenOpened
 */
export function dropPanel(details, whenOpened) {
  details.addEventListener('toggle', () => {
    if (details.open) whenOpened();
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key !== 'Escape' || !details.open) return;
    details.open = false;
    details.querySelector('summary')?.focus();
  });
  document.addEventListener('click', ({ target }) => {
    if (target instanceof Node && !details.contains(target)) details.open = false;
  });
}
