/**
 * A modal dialog that asks for confirmation, runs the action, and shows its result.
 */
import { button, h, uniqueId } from './build.js';
import { ErrorBox } from './error-box.js';
import { showFieldErrors } from './form.js';

/** @typedef {import('./build.js').Child} Child */
/** What the dialog shows after the deed. `foot`: buttons before Close. @typedef {{title: string, body: Child[], foot?: Child[]}} Result */
/**
 * `act` gets the form data. Its result is shown in the dialog; without a result the dialog closes at once.
 * `further` is a second button; the form data then has the name `further`.
 * @typedef {{
 *   title: string, body: Child[], fields?: import('./form.js').Field[], extra?: Child, action: string, danger?: boolean,
 *   further?: string, act: (form: FormData) => Promise<Result | void>,
 * }} DialogOptions
 */

/**
 * @param {import('./view.js').ViewContext} context
 * @param {DialogOptions} question
 * @returns {Promise<boolean>} whether the action succeeded, once the dialog has closed
 */
export function openDialog(context, { title, body, fields = [], extra, action, danger = false, further, act }) {
  const id = uniqueId('dialog');
  const errorBox = new ErrorBox(context);
  const look = `button small ${danger ? 'danger' : 'primary'}`;
  const submit = h('button', { type: 'submit', class: look }, action);
  const other = further && h('button', { type: 'submit', class: look, name: 'further', value: 'yes' }, further);
  const cancel = button('Cancel', () => busy || dialog.close()); // a running request must show its result
  const content = h('div', { class: 'dialog-body' }, ...body, ...fields.map(({ element }) => element), extra);
  const heading = h('h2', { id }, title);
  const form = h(
    'form',
    { onsubmit: (/** @type {SubmitEvent} */ event) => void send(event) },
    heading,
    content,
    errorBox.element,
    h('div', { class: 'dialog-foot' }, submit, other, cancel),
  );
  const dialog = h('dialog', { class: 'action-dialog', 'aria-labelledby': id }, form);
  let done = false;
  let busy = false;

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    if (busy) return;
    busy = true;
    submit.setAttribute('aria-disabled', 'true');
    errorBox.clear();
    try {
      const result = await act(new FormData(form, event.submitter));
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

  /** @param {Result} result */
  function showResult({ title: after, body: told, foot = [] }) {
    const close = button('Close', () => dialog.close());
    heading.textContent = after;
    content.replaceChildren(h('div', { role: 'status' }, ...told));
    const buttons = h('div', { class: 'dialog-foot' }, ...foot, close);
    form.querySelector('.dialog-foot')?.replaceWith(buttons);
    buttons.querySelector('button')?.focus();
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
