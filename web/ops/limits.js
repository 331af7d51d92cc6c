/**
 * Edits the limits of one person or team: which values come from the plan or the settings, and which are overrides.
 * An edit survives refreshes and sign-ins, and detects edits by other operators. The view loads its owner again.
 */
import { button, h } from './build.js';
import { ErrorBox } from './error-box.js';
import { showFieldErrors } from './form.js';
import { formatTime } from './format.js';
import { LimitRow } from './limit-row.js';
import { ruleWords } from './parts.js';

/** @typedef {import('./api.js').LimitName} LimitName */
/** @typedef {import('./limit-row.js').Value} Value */
/** @typedef {Partial<Record<LimitName, Value>>} Changes */
/** @typedef {{overrides: Partial<import('./api.js').Overrides>, version: number}} Owner */
/**
 * How the limits of one kind of owner are read and saved. `usual` is the value of a limit without an override, and
 * where it comes from; `plan` is the override of the plan in the form.
 * @template {Owner} T
 * @typedef {{
 *   names: LimitName[], inherited: string, rule: (owner: T) => string,
 *   usual: (owner: T, name: LimitName, plan: Value | undefined) => [value: Value, source: string],
 *   load: (owner: T) => Promise<T>, save: (owner: T, changes: Changes) => Promise<T>,
 *   audited: (owner: T) => {issuer: string, subject: string}, saved: () => void,
 * }} Terms
 */

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
const LABELS = Object.fromEntries(LIMITS.map(([name, label]) => [name, label]));

/** @template {Owner} T */
export class LimitsEditor {
  #rows;
  #context;
  #terms;
  #errorBox;
  #conflict = h('div', { class: 'conflict', role: 'alert' });
  #rule = h('p', { class: 'quiet' });
  #save = h('button', { type: 'submit', class: 'button small primary' }, 'Save limits');
  #undo = button('Undo', () => this.#reset());
  /** As last loaded: the base of the edit. @type {T | null} */
  #owner = null;
  #busy = false;
  element;

  /**
   * @param {import('./view.js').ViewContext} context
   * @param {Terms<T>} terms
   * @param {string[]} [plans]
   */
  constructor(context, terms, plans = []) {
    this.#context = context;
    this.#terms = terms;
    this.#errorBox = new ErrorBox(context);
    this.#rows = LIMITS.filter(([name]) => terms.names.includes(name)).map(
      ([name, label, hint]) => new LimitRow(name, label, hint, plans, () => this.#changed()),
    );
    this.element = h(
      'form',
      {
        class: 'limits',
        hidden: true, // until the limits are there: an earlier click would be lost
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

  /** Shows the current limits. It does not touch an edit in progress. @param {T} owner */
  show(owner) {
    this.element.hidden = false;
    if (this.#owner && this.dirty) return;
    this.#owner = owner;
    this.#reset();
  }

  #reset() {
    const owner = this.#owner;
    if (!owner) return;
    this.#errorBox.clear();
    this.#conflict.replaceChildren();
    for (const row of this.#rows) row.set(owner.overrides[row.name] ?? null);
    this.#changed();
  }

  /** Where there is no override, shows the value that applies instead, such as that of the plan selected now. */
  #changed() {
    const owner = this.#owner;
    if (!owner) return;
    this.#rule.textContent = `Rule: ${ruleWords(this.#terms.rule(owner))}.`;
    const plan = this.#rows.find(({ name }) => name === 'plan')?.value;
    for (const row of this.#rows) row.inherit(...this.#terms.usual(owner, row.name, plan));
    const clean = !this.dirty;
    this.#save.setAttribute('aria-disabled', String(clean));
    this.#undo.hidden = clean;
  }

  /** The unsaved changes. @returns {Changes} */
  #changes() {
    const owner = this.#owner;
    if (!owner) return {};
    return Object.fromEntries(
      this.#rows.filter(({ name, value }) => value !== owner.overrides[name]).map(({ name, value }) => [name, value]),
    );
  }

  async #send() {
    const owner = this.#owner;
    const changes = this.#changes();
    if (!owner || this.#busy || Object.keys(changes).length === 0) return;
    this.#busy = true;
    this.#errorBox.clear();
    this.#conflict.replaceChildren();
    try {
      this.#owner = await this.#terms.save(owner, changes);
      this.#reset();
      for (const one of this.#rows) one.field.showError('');
      this.#context.announce('Saved. The new limits apply from the next request.');
      this.#terms.saved();
    } catch (error) {
      if (/** @type {{code?: string}} */ (error).code === 'edit-conflict') await this.#explainConflict(owner, changes);
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
   * @param {T} before @param {Changes} changes
   */
  async #explainConflict(before, changes) {
    try {
      const [now, who] = await Promise.all([this.#terms.load(before), this.#lastEditor(before)]);
      this.#owner = now;
      // Takes over their other changes, so that saving does not undo them.
      for (const row of this.#rows) if (!(row.name in changes)) row.set(now.overrides[row.name] ?? null);
      this.#changed();
      const rows = this.#terms.names.filter(
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
                  (value) => h('td', {}, describeValue(value, this.#terms.inherited)),
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

  /** Who edited last, if the audit trail has it. @param {T} owner */
  async #lastEditor(owner) {
    const { issuer, subject } = this.#terms.audited(owner);
    const { rows } = await this.#context.api.audit({ action: 'limits.set', limit: 20 });
    const entry = rows.find(({ detail }) => detail?.issuer === issuer && detail.subject === subject);
    return entry ? `${entry.actor} saved them at ${formatTime(entry.at)}.` : '';
  }
}

/** @param {Value | undefined} value @param {string} inherited  the words for a limit without an override */
const describeValue = (value, inherited) => (value === undefined ? 'unchanged' : String(value ?? inherited));
