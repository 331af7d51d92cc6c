/**
 * Fields of forms: a label, a hint, and the fault that the broker found in them, tied together for screen readers.
 * Needs: build.js. Leaves: what is sent to whoever asks.
 */
import { h, uniqueId } from './build.js';

/** @typedef {HTMLInputElement | HTMLSelectElement} Control */
/** @typedef {{element: HTMLElement, control: Control, fault: (text: string) => void}} Field */

/**
 * @template {Control} C
 * @param {string} label
 * @param {C} control  its `name` is the field's name in the API
 * @param {string} [hint]
 * @returns {Field & {control: C}}
 */
export function field(label, control, hint = '') {
  const id = uniqueId('field');
  const fault = h('p', { class: 'field-fault', id: `${id}-fault` });
  control.id = id;
  control.setAttribute('aria-describedby', hint ? `${id}-hint ${id}-fault` : `${id}-fault`);
  return {
    element: h('div', { class: 'form-row' },
      h('label', { for: id }, label), control, hint && h('p', { class: 'quiet', id: `${id}-hint` }, hint), fault),
    control,
    fault(text) {
      fault.textContent = text;
      if (text) control.setAttribute('aria-invalid', 'true');
      else control.removeAttribute('aria-invalid');
    },
  };
}

/**
 * A set of boxes to tick, under one name.
 * @param {string} legend
 * @param {string} name
 * @param {string[]} values
 * @param {boolean} ticked
 * @param {string} [hint]
 */
export function boxes(legend, name, values, ticked, hint = '') {
  return h('fieldset', { class: 'form-row' }, h('legend', {}, legend), hint && h('p', { class: 'quiet' }, hint),
    h('div', { class: 'boxes' }, ...values.map((value) => h('label', {},
      h('input', { type: 'checkbox', name, value, checked: ticked }), value))));
}

/** @param {string} name @param {[value: string, text: string][]} choices @param {string} [chosen] */
export function select(name, choices, chosen = '') {
  return h('select', { name }, ...choices.map(([value, text]) => h('option', { value, selected: value === chosen }, text)));
}

/**
 * Puts each fault that the broker named beside its field, and the focus into the first.
 * @param {Field[]} fields
 * @param {unknown} error
 * @returns {boolean} whether every fault has found its field
 */
export function showFaults(fields, error) {
  for (const one of fields) one.fault('');
  const faults = /** @type {{fields?: import('../common/api.js').FieldFault[]}} */ (error ?? {}).fields ?? [];
  const hit = faults.map(({ field: name, problem }) => {
    const found = fields.find(({ control }) => control.name === name);
    found?.fault(sentence(problem));
    return found;
  });
  hit.find((one) => one !== undefined)?.control.focus();
  return hit.length > 0 && hit.every((one) => one !== undefined);
}

/** @param {string} text */
function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}` : '';
}
