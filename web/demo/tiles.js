/**
 * Enlarges a tile, the video or the transcript, at a click. The other one gives way.
 */

/** Sets up every button with `data-enlarge`, which names its tile. */
export function setUpTiles() {
  const buttons = [...document.querySelectorAll('button[data-enlarge]')].filter(
    (one) => one instanceof HTMLButtonElement,
  );
  const show = (/** @type {string | undefined} */ large) => {
    document.body.dataset.large = large ?? '';
    for (const button of buttons) {
      const { enlarge } = button.dataset;
      button.textContent = enlarge === large ? 'Shrink' : 'Enlarge';
      button.setAttribute('aria-label', `${button.textContent} ${enlarge}`);
    }
  };
  for (const button of buttons) {
    const { enlarge } = button.dataset;
    button.addEventListener('click', () => show(document.body.dataset.large === enlarge ? '' : enlarge));
  }
}
