/**
 * Animates elements to their new place after a layout change (the FLIP technique).
 * It does nothing but the change if the person prefers reduced motion.
 */

const TIMING = { duration: 420, easing: 'cubic-bezier(.22, .8, .28, 1)' };

/**
 * @param {HTMLElement[]} elements
 * @param {() => void} change
 */
export function flip(elements, change) {
  if (window.matchMedia('(prefers-reduced-motion: reduce)').matches) {
    change();
    return;
  }
  const before = elements.map((element) => element.getBoundingClientRect());
  change();
  elements.forEach((element, index) => {
    const from = before[index];
    const to = element.getBoundingClientRect();
    if (!from.width || !to.width) return;
    const x = from.x + from.width / 2 - to.x - to.width / 2;
    const y = from.y + from.height / 2 - to.y - to.height / 2;
    // Scale only what keeps its proportions: scaled text looks stretched.
    const scale = Math.abs(from.width / from.height - to.width / to.height) < 0.01 ? from.width / to.width : 1;
    element.animate([{ transform: `translate(${x}px, ${y}px) scale(${scale})` }, { transform: 'none' }], TIMING);
  });
}
