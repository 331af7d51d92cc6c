/**
 * The suspension of new tokens: a banner above every view while it is in force, and the dialog that starts it.
 */
import { isolate } from '../common/dom.js';
import { button, h } from './build.js';
import { openDialog } from './dialog.js';
import { checkboxes, field } from './form.js';
import { timeOf } from './format.js';
import { Poll } from './poll.js';

/** @typedef {import('./view.js').ViewContext} ViewContext */
/** @typedef {import('./api.js').Suspension} Suspension */

const EVERY_MS = 15_000;

export class SuspensionBanner {
  element = h('div', { class: 'suspension', id: 'suspension', role: 'status', hidden: true });
  #context;
  #poll;

  /** @param {ViewContext} context */
  constructor(context) {
    this.#context = context;
    // A view shows the errors of its own requests. This banner keeps its last state.
    this.#poll = new Poll(
      EVERY_MS,
      (signal) => this.#load(signal),
      () => {},
    );
  }

  /** Asks the broker now, and again every 15 seconds. */
  refresh() {
    this.#poll.now();
  }

  /** Stops asking and hides the banner, for a sign-out. */
  stop() {
    this.#poll.pause();
    this.element.hidden = true;
  }

  /** @param {AbortSignal} signal */
  async #load(signal) {
    this.show(await this.#context.api.suspension(signal));
  }

  /** @param {Suspension} suspension */
  show(suspension) {
    this.element.hidden = !suspension.suspended;
    if (!suspension.suspended) return;
    const { profiles, renewals, reason, since, by } = suspension;
    const covered = profiles ? `for ${profiles.join(', ')}` : 'for all profiles';
    this.element.replaceChildren(
      h(
        'div',
        {},
        h(
          'p',
          {},
          h('strong', {}, `New tokens are suspended ${covered}. `),
          renewals ? 'Open sessions get no more tokens either.' : 'Open sessions continue.',
        ),
        h(
          'p',
          { class: 'quiet' },
          `Reason: ${isolate(reason ?? '')} · by ${isolate(by ?? '')} · since `,
          timeOf(since ?? ''),
        ),
      ),
      button('Resume', () => void this.#resume()),
    );
  }

  async #resume() {
    const resumed = await openDialog(this.#context, {
      title: 'Resume new tokens?',
      body: [h('p', {}, 'The next request on every worker and host gets a token again.')],
      action: 'Resume',
      act: async () => this.show(await this.#context.api.resume()),
    });
    if (resumed) this.#context.announce('New tokens are available again.');
  }

  /** Asks for the reason and the profiles, and suspends. */
  async suspend() {
    const { profiles } = await this.#context.api.overview();
    const reason = field(
      'Reason',
      h('input', {
        name: 'reason',
        type: 'text',
        pattern: '[\\s\\S]{0,255}',
        title: 'At most 255 characters',
        required: true,
        autocomplete: 'off',
      }),
      'Callers and operators see it.',
    );
    const suspended = await openDialog(this.#context, {
      title: 'Suspend new tokens?',
      body: [
        h(
          'p',
          {},
          'Every worker and host refuses new tokens from the next request on. A token that Google already issued stays valid until it expires.',
        ),
      ],
      fields: [reason],
      extra: h(
        'div',
        {},
        checkboxes('Profiles', 'profiles', profiles, false, 'Leave empty for all.'),
        checkboxes('Open sessions', 'renewals', ['Refuse their next tokens too'], false),
      ),
      action: 'Suspend',
      danger: true,
      act: async (form) => {
        const named = form.getAll('profiles').map(String);
        this.show(
          await this.#context.api.suspend({
            reason: String(form.get('reason')).trim(),
            renewals: form.has('renewals'),
            ...(named.length > 0 ? { profiles: named } : {}),
          }),
        );
      },
    });
    if (suspended) this.#context.announce('New tokens are suspended.');
  }
}
