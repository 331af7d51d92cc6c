/**
 * Lets things flip to where a new layout puts them, unless the person asked for less motion.
 * Needs: the elements, and the change that moves them. Leaves: the layout itself to the style sheets.
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
    // Only the button changes its size on purpose; a line of words would look stretched.
    const scale = Math.abs(from.width / from.height - to.width / to.height) < 0.01 ? from.width / to.width : 1;
    element.animate([{ transform: `translate(${x}px, ${y}px) scale(${scale})` }, { transform: 'none' }], TIMING);
  });
}
