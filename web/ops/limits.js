/**
 * Edits one person's limits: which values come from the plan, and which are overrides.
 * An edit survives refreshes and sign-ins, and detects edits by other operators. user.js loads the person again.
 */
import { button, h } from './build.js';
import { ErrorBox } from './error-box.js';
import { field, select, showFieldErrors } from './form.js';
import { formatTime } from './format.js';
import { ruleWords } from './parts.js';

/** @typedef {import('./api.js').User} User */
/** @typedef {import('./api.js').LimitName} LimitName */
/** @typedef {string | number | null} Value */
/** @typedef {Partial<Record<LimitName, Value>>} Changes */

/** @type {[name: LimitName, label: string, hint: string][]} */
const LIMITS = [
  ['plan', 'Plan', ''],
  ['rate', 'Token requests', 'For example 10/minute; 200/day'],
  ['sessions', 'Sessions at once', ''],
  ['minutes_per_day', 'Minutes per day', ''],
  ['session_minutes', 'Minutes per session', ''],
  ['budget_per_day', 'Budget per day', 'For example 2.50'],
  ['budget_per_month', 'Budget per month', 'For example 20'],
  ['minutes_per_month', 'Minutes per month', ''],
];
/** Others than these are whole numbers. */
const TEXTS = new Set(['plan', 'rate', 'budget_per_day', 'budget_per_month']);
const LABELS = Object.fromEntries(LIMITS.map(([name, label]) => [name, label]));

export class LimitsEditor {
  #rows;
  #context;
  #plans;
  #saved;
  #errorBox;
  #conflict = h('div', { class: 'conflict', role: 'alert' });
  #rule = h('p', { class: 'quiet' });
  #save = h('button', { type: 'submit', class: 'button small primary' }, 'Save limits');
  #undo = button('Undo', () => this.#reset());
  /** The person as last loaded: the base of the edit. @type {User | null} */
  #user = null;
  #busy = false;
  element;

  /**
   * @param {import('./view.js').ViewContext} context
   * @param {import('./api.js').Plan[]} plans
   * @param {() => void} saved
   */
  constructor(context, plans, saved) {
    this.#context = context;
    this.#plans = plans;
    this.#saved = saved;
    this.#errorBox = new ErrorBox(context);
    this.#rows = LIMITS.map(([name, label, hint]) => new LimitRow(name, label, hint, plans, () => this.#changed()));
    this.element = h(
      'form',
      {
        class: 'limits',
        novalidate: true,
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          void this.#send();
        },
      },
      this.#rule,
      ...this.#rows.map(({ element }) => element),
      this.#errorBox.element,
      this.#conflict,
      h('div', { class: 'limits-foot' }, this.#save, this.#undo),
    );
  }

  /** Whether there are unsaved changes. */
  get dirty() {
    return Object.keys(this.#changes()).length > 0;
  }

  /** Shows the current limits. It does not touch an edit in progress. @param {User} user */
  show(user) {
    if (this.#user && this.dirty) return;
    this.#user = user;
    this.#reset();
  }

  #reset() {
    const user = this.#user;
    if (!user) return;
    this.#errorBox.clear();
    this.#conflict.replaceChildren();
    for (const row of this.#rows) row.set(user.overrides[row.name]);
    this.#changed();
  }

  /** Where there is no override, shows the value from the plan that is selected now. */
  #changed() {
    const user = this.#user;
    if (!user) return;
    this.#rule.textContent = `Rule: ${ruleWords(user.limits.rule)}.`;
    const chosen = this.#rows[0].value;
    const name = typeof chosen === 'string' ? chosen : user.plan;
    const plan = this.#plans.find((one) => one.name === name);
    for (const row of this.#rows)
      row.inherit(row.name === 'plan' ? user.plan : (plan?.[row.name] ?? user.limits[row.name]), name);
    const clean = !this.dirty;
    this.#save.setAttribute('aria-disabled', String(clean));
    this.#undo.hidden = clean;
  }

  /** The unsaved changes. @returns {Changes} */
  #changes() {
    const user = this.#user;
    if (!user) return {};
    return Object.fromEntries(
      this.#rows.filter(({ name, value }) => value !== user.overrides[name]).map(({ name, value }) => [name, value]),
    );
  }

  async #send() {
    const user = this.#user;
    const changes = this.#changes();
    if (!user || this.#busy || Object.keys(changes).length === 0) return;
    this.#busy = true;
    this.#errorBox.clear();
    this.#conflict.replaceChildren();
    try {
      this.#user = await this.#context.api.setLimits(
        user.key,
        user.version,
        /** @type {import('./api.js').Overrides} */ (changes),
      );
      this.#reset();
      for (const one of this.#rows) one.field.showError('');
      this.#context.announce('Saved. The new limits apply from the next request.');
      this.#saved();
    } catch (error) {
      if (/** @type {{code?: string}} */ (error).code === 'edit-conflict') await this.#explainConflict(user, changes);
      else if (
        !showFieldErrors(
          this.#rows.map((row) => row.field),
          error,
        )
      )
        this.#errorBox.show(error);
    } finally {
      this.#busy = false;
    }
  }

  /**
   * Another operator saved first. Shows both edits. The newest version becomes the base, and this edit stays in the form.
   * @param {User} before @param {Changes} changes
   */
  async #explainConflict(before, changes) {
    try {
      const [now, who] = await Promise.all([this.#context.api.user(before.key), this.#lastEditor(before)]);
      this.#user = now;
      // Takes over their other changes, so that saving does not undo them.
      for (const row of this.#rows) if (!(row.name in changes)) row.set(now.overrides[row.name]);
      this.#changed();
      const rows = LIMITS.map(([name]) => name).filter(
        (name) => now.overrides[name] !== before.overrides[name] || name in changes,
      );
      const redo = button('Overwrite with mine', () => void this.#send(), { class: 'button small primary' });
      this.#conflict.replaceChildren(
        h('p', {}, h('strong', {}, 'Another operator changed these limits. '), who, ' Your changes are not saved yet.'),
        h(
          'table',
          {},
          h(
            'thead',
            {},
            h('tr', {}, ...['Limit', 'Before', 'Theirs', 'Yours'].map((head) => h('th', { scope: 'col' }, head))),
          ),
          h(
            'tbody',
            {},
            ...rows.map((name) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row' }, LABELS[name]),
                ...[before.overrides[name], now.overrides[name], name in changes ? changes[name] : undefined].map(
                  (value) => h('td', {}, describeValue(value)),
                ),
              ),
            ),
          ),
        ),
        h(
          'p',
          { class: 'dialog-foot' },
          redo,
          button('Keep theirs', () => {
            this.#reset();
            this.#rows[0].focus();
            this.#context.announce('Kept the other operator’s values.');
          }),
        ),
      );
      redo.focus();
    } catch (error) {
      this.#errorBox.show(error);
    }
  }

  /** Who edited last, if the audit trail has it. @param {User} user */
  async #lastEditor({ issuer, subject }) {
    const { rows } = await this.#context.api.audit({ action: 'limits.set', limit: 20 });
    const entry = rows.find(({ detail }) => detail?.issuer === issuer && detail.subject === subject);
    return entry ? `${entry.actor} saved them at ${formatTime(entry.at)}.` : '';
  }
}

/** @param {Value | undefined} value */
const describeValue = (value) => (value === undefined ? 'unchanged' : value === null ? 'from the plan' : String(value));

/** One limit: the plan's value or an override. */
class LimitRow {
  #own;
  #note = h('span', { class: 'badge' });
  #inherited = h('span', { class: 'inherited' });
  #usual = '';
  name;
  field;
  element;

  /**
   * @param {LimitName} name @param {string} label @param {string} hint
   * @param {import('./api.js').Plan[]} plans @param {() => void} changed
   */
  constructor(name, label, hint, plans, changed) {
    this.name = name;
    const control =
      name === 'plan'
        ? select(
            name,
            plans.map((plan) => [plan.name, plan.name]),
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

  /** @param {Value} value  the value from the plan @param {string} plan */
  inherit(value, plan) {
    this.#usual = value === null ? '' : String(value);
    this.#inherited.textContent = value === null ? 'no limit' : this.#usual;
    this.#note.hidden = this.#own.checked;
    this.#note.textContent = this.name === 'plan' ? 'from sign-in' : `plan ${plan}`;
  }

  focus() {
    this.#own.focus();
  }

  #show() {
    this.field.control.hidden = !this.#own.checked;
    this.#inherited.hidden = this.#own.checked;
  }
}
