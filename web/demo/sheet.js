/**
 * A panel of the header that opens beside the conversation. One is open at a time, and people may talk meanwhile.
 */
import { create } from '../common/dom.js';

const bottom = (/** @type {string} */ selector) =>
  document.querySelector(selector)?.getBoundingClientRect().bottom ?? 0;

/**
 * Escape and a button of its own close the sheet. Both return the focus to what opened it.
 * @param {HTMLDetailsElement} details
 * @param {(details: HTMLDetailsElement) => void} whenOpened
 */
export function setUpSheet(details, whenOpened) {
  details.name = 'sheet'; // the browser closes the other ones of this name
  const summary = details.querySelector('summary');
  const close = () => {
    details.open = false;
    summary?.focus();
  };
  const button = create('button', '✕', 'button small plain panel-close');
  button.type = 'button';
  button.setAttribute('aria-label', `Close ${summary?.textContent?.trim().toLowerCase()}`);
  button.addEventListener('click', close);
  details.querySelector('.panel')?.prepend(button);
  // The style sheets cannot know where the header and the controls end.
  const place = () => {
    if (!details.open) return;
    document.body.style.setProperty('--above', `${bottom('.bar')}px`);
    document.body.style.setProperty('--below', `${bottom('.stage')}px`);
  };
  addEventListener('resize', place);
  details.addEventListener('toggle', () => {
    if (!details.open) return;
    place();
    whenOpened(details);
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && details.open) close();
  });
}
