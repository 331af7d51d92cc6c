/**
 * The choice of a profile by its description and voice. Shown if there are several and no conversation runs.
 */
import { byId, create, isolate } from '../common/dom.js';

/** @typedef {import('../common/api.js').Profile} Profile */

export class ProfileChoice {
  #fieldset = byId('profile', HTMLFieldSetElement);
  /** Labels by the profile's name. @type {Map<string, string>} */
  labels = new Map();

  /** The name of the chosen profile; '' until the profiles are known. */
  get value() {
    return this.#fieldset.querySelector('input:checked')?.getAttribute('value') ?? '';
  }

  /** @param {boolean} offered */
  offered(offered) {
    this.#fieldset.hidden = !offered || this.labels.size < 2;
  }

  /** Lists the profiles. @param {Profile[]} profiles */
  fill(profiles) {
    this.labels = new Map(
      profiles.map(({ name, description, voice }) => [
        name,
        `${isolate(description || name)}${voice ? ` · voice ${voice}` : ''}`,
      ]),
    );
    this.#fieldset.replaceChildren(create('legend', 'Talk to'), ...profiles.map(card));
    this.offered(true);
  }
}

/** @param {Profile} profile */
function card({ name, description, voice, default: chosen }) {
  const radio = document.createElement('input');
  Object.assign(radio, { type: 'radio', name: 'profile', value: name, checked: chosen });
  const text = create('span', description || name);
  if (voice) text.append(create('small', `Voice ${voice}`));
  const label = create('label', '');
  label.append(radio, text);
  return label;
}
