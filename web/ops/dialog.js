/**
 * A modal dialog that asks for confirmation, runs the action, and shows its result.
 */
import { button, h, uniqueId } from './build.js';
import { ErrorBox } from './error-box.js';
import { showFieldErrors } from './form.js';

/** @typedef {import('./build.js').Child} Child */
/**
 * `act` gets the form data. Its result is shown in the dialog; without a result the dialog closes at once.
 * @typedef {{
 *   title: string, body: Child[], fields?: import('./form.js').Field[], extra?: Child, action: string, danger?: boolean,
 *   act: (form: FormData) => Promise<Child[] | void>,
 * }} DialogOptions
 */

/**
 * @param {import('./view.js').ViewContext} context
 * @param {DialogOptions} question
 * @returns {Promise<boolean>} whether the action succeeded, once the dialog has closed
 */
export function openDialog(context, { title, body, fields = [], extra, action, danger = false, act }) {
  const id = uniqueId('dialog');
  const errorBox = new ErrorBox(context);
  const submit = h('button', { type: 'submit', class: `button small ${danger ? 'danger' : 'primary'}` }, action);
  const cancel = button('Cancel', () => busy || dialog.close()); // a running request must show its result
  const content = h('div', { class: 'dialog-body' }, ...body, ...fields.map(({ element }) => element), extra);
  const form = h(
    'form',
    { onsubmit: (/** @type {Event} */ event) => void send(event) },
    h('h2', { id }, title),
    content,
    errorBox.element,
    h('div', { class: 'dialog-foot' }, submit, cancel),
  );
  const dialog = h('dialog', { class: 'action-dialog', 'aria-labelledby': id }, form);
  let done = false;
  let busy = false;

  /** @param {Event} event */
  async function send(event) {
    event.preventDefault();
    if (busy) return;
    busy = true;
    submit.setAttribute('aria-disabled', 'true');
    errorBox.clear();
    try {
      const result = await act(new FormData(form));
      done = true;
      if (result) showResult(result);
      else dialog.close();
    } catch (error) {
      if (!showFieldErrors(fields, error)) errorBox.show(error);
    } finally {
      busy = false;
      submit.removeAttribute('aria-disabled');
    }
  }

  /** @param {Child[]} result */
  function showResult(result) {
    const close = button('Close', () => dialog.close());
    content.replaceChildren(h('div', { role: 'status' }, ...result));
    form.querySelector('.dialog-foot')?.replaceChildren(close);
    close.focus();
  }

  document.body.append(dialog);
  dialog.addEventListener('cancel', (event) => {
    if (busy) event.preventDefault();
  });
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(done);
    }),
  );
}
