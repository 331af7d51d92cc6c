/**
 * A button that copies a text, and says so.
 */
import { button, h } from './build.js';

/**
 * @param {string} text
 * @param {string} label
 * @param {HTMLInputElement | HTMLTextAreaElement} field  shows the text; it is selected if the clipboard refuses
 * @param {string} [look]
 */
export function copyButton(text, label, field, look = '') {
  const copied = h('span', { class: 'quiet', role: 'status' });
  const copy = button(
    label,
    () =>
      void navigator.clipboard.writeText(text).then(
        () => {
          copied.textContent = 'Copied.';
        },
        () => {
          field.focus();
          field.select();
          copied.textContent = 'Press Ctrl+C or ⌘C to copy.';
        },
      ),
    { class: `button small ${look}` },
  );
  return { copy, copied };
}
