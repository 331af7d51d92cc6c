/**
 * Shows the state of a call in the tab: its title and its icon. So a person in another tab sees who has the word.
 * It follows the status line, which is always right.
 */
import { byId } from '../common/dom.js';

const PRODUCT = 'Live Broker';
/** The dot of the icon, by state. @type {Record<string, string>} */
const DOTS = {
  connecting: '#b9b2a7',
  reconnecting: '#e0b13c',
  listening: '#ff8f6b',
  thinking: '#56c6d4',
  waiting: '#e0b13c',
  speaking: '#56c6d4',
};

/** Starts to follow the status line. */
export function followInTab() {
  const status = byId('status', HTMLParagraphElement);
  const icon = document.querySelector('link[rel=icon]');
  const [title, href] = [document.title, icon?.getAttribute('href') ?? ''];
  const show = () => {
    const dot = DOTS[status.dataset.state ?? ''];
    document.title = dot ? `${status.textContent} · ${PRODUCT}` : title;
    const wanted = dot ? drawn(dot) : href;
    if (icon?.getAttribute('href') !== wanted) icon?.setAttribute('href', wanted);
  };
  new MutationObserver(show).observe(status, { childList: true, attributeFilter: ['data-state'] });
  show();
}

/** The product's icon with a dot, as an address. @param {string} dot a colour */
function drawn(dot) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#0f1315"/><circle cx="16" cy="16" r="9" fill="${dot}"/></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
