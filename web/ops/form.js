/**
 * Form fields: a label, a hint and an error from the broker, connected for screen readers.
 */
import { h, uniqueId } from './build.js';

/** @typedef {HTMLInputElement | HTMLSelectElement} Control */
/** @typedef {{element: HTMLElement, control: Control, showError: (text: string) => void}} Field */

/**
 * @template {Control} C
 * @param {string} label
 * @param {C} control  its `name` is the field's name in the API
 * @param {string} [hint]
 * @returns {Field & {control: C}}
 */
export function field(label, control, hint = '') {
  const id = uniqueId('field');
  const message = h('p', { class: 'field-error', id: `${id}-error` });
  control.id = id;
  control.setAttribute('aria-describedby', hint ? `${id}-hint ${id}-error` : `${id}-error`);
  return {
    element: h(
      'div',
      { class: 'form-row' },
      h('label', { for: id }, label),
      control,
      hint && h('p', { class: 'quiet', id: `${id}-hint` }, hint),
      message,
    ),
    control,
    showError(text) {
      message.textContent = text;
      if (text) control.setAttribute('aria-invalid', 'true');
      else control.removeAttribute('aria-invalid');
    },
  };
}

/**
 * A group of checkboxes with one name.
 * @param {string} legend
 * @param {string} name
 * @param {string[]} values
 * @param {boolean} ticked
 * @param {string} [hint]
 */
export function checkboxes(legend, name, values, ticked, hint = '') {
  return h(
    'fieldset',
    { class: 'form-row' },
    h('legend', {}, legend),
    hint && h('p', { class: 'quiet' }, hint),
    h(
      'div',
      { class: 'checkboxes' },
      ...values.map((value) => h('label', {}, h('input', { type: 'checkbox', name, value, checked: ticked }), value)),
    ),
  );
}

/** @param {string} name @param {[value: string, text: string][]} choices @param {string} [chosen] */
export function select(name, choices, chosen = '') {
  return h(
    'select',
    { name },
    ...choices.map(([value, text]) => h('option', { value, selected: value === chosen }, text)),
  );
}

/**
 * Shows each field error from the broker next to its field, and focuses the first.
 * @param {Field[]} fields
 * @param {unknown} error
 * @returns {boolean} whether every error belongs to one of the fields
 */
export function showFieldErrors(fields, error) {
  for (const one of fields) one.showError('');
  const { fields: errors = [] } = /** @type {{fields?: import('../common/api.js').FieldError[]}} */ (error ?? {});
  const matched = errors.map(({ field: name, problem }) => {
    const found = fields.find(({ control }) => control.name === name);
    found?.showError(sentence(problem));
    return found;
  });
  matched.find((one) => one !== undefined)?.control.focus();
  return matched.length > 0 && matched.every((one) => one !== undefined);
}

/** "must be at least 1" and "sessions: must be at least 1" are "At least 1." next to their field. @param {string} problem */
function sentence(problem) {
  const text = problem.replace(/^[a-z_]+: /, '').replace(/^must (?:be|have) (?=at (?:least|most) )/, '');
  return text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}` : '';
}
