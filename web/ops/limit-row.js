/**
 * One limit in the form of limits.js: an override, or the value that applies without it.
 */
import { h } from './build.js';
import { field, select } from './form.js';

/** @typedef {import('./api.js').LimitName} LimitName */
/** @typedef {string | number | null} Value */

/** Others than these are whole numbers. */
const TEXTS = new Set(['plan', 'rate', 'budget_per_day', 'budget_per_month']);

export class LimitRow {
  #own;
  #note = h('span', { class: 'badge' });
  #inherited = h('span', { class: 'inherited' });
  #usual = '';
  name;
  field;
  element;

  /**
   * @param {LimitName} name @param {string} label @param {string} hint
   * @param {string[]} plans @param {() => void} changed
   */
  constructor(name, label, hint, plans, changed) {
    this.name = name;
    const control =
      name === 'plan'
        ? select(
            name,
            plans.map((plan) => [plan, plan]),
          )
        : TEXTS.has(name)
          ? h('input', { name, autocomplete: 'off', spellcheck: 'false' })
          : h('input', { name, type: 'number', min: 0, inputmode: 'numeric' });
    this.field = field(label, control, hint);
    this.#own = h('input', { type: 'checkbox', role: 'switch', 'aria-label': `${label}: override` });
    this.#own.addEventListener('change', () => {
      if (this.#own.checked && control.value === '') control.value = this.#usual;
      this.#show();
      changed();
      if (this.#own.checked) control.focus();
    });
    control.addEventListener('input', changed);
    this.element = h(
      'div',
      { class: 'limit' },
      this.field.element,
      h(
        'div',
        { class: 'limit-source' },
        this.#inherited,
        this.#note,
        h('label', { class: 'switch' }, this.#own, h('span', { 'aria-hidden': 'true' }, 'Override')),
      ),
    );
  }

  /** The override, or null. Invalid number text stays text, so that the broker rejects it. @returns {Value} */
  get value() {
    const { control } = this.field;
    if (!this.#own.checked) return null;
    return TEXTS.has(this.name) || control.value === '' ? control.value : Number(control.value);
  }

  /** @param {Value} value */
  set(value) {
    this.#own.checked = value !== null;
    this.field.control.value = value === null ? '' : String(value);
    this.field.showError('');
    this.#show();
  }

  /** @param {Value} value  the value without an override @param {string} source */
  inherit(value, source) {
    this.#usual = value === null ? '' : String(value);
    this.#inherited.textContent = value === null ? 'no limit' : this.#usual;
    this.#note.hidden = this.#own.checked;
    this.#note.textContent = source;
  }

  focus() {
    this.#own.focus();
  }

  #show() {
    this.field.control.hidden = !this.#own.checked;
    this.#inherited.hidden = this.#own.checked;
  }
}
