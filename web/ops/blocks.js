/**
 * Everything that is blocked: users, people of other issuers, single tokens and whole issuers, each with Unblock.
 */
import { isolate } from '../common/dom.js';
import { button, h } from './build.js';
import { openDialog } from './dialog.js';
import { ErrorBox } from './error-box.js';
import { timeOf } from './format.js';
import { heading, issuerWords, Pages, person } from './parts.js';
import { Table } from './table.js';
import { unblockUser } from './user-actions.js';

/** @typedef {import('./api.js').Block} Block */

/** @type {Record<string, string>} */
const KINDS = {
  user: 'User',
  principal: 'Person',
  jti: 'Single token',
  issuer: 'Whole issuer',
  'issued-before': 'Signed out everywhere',
};

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function blocksView(context) {
  const errorBox = new ErrorBox(context);
  const signOuts = h('input', { type: 'checkbox', onchange: () => void pages.restart() });
  const table = new Table(
    'Blocks',
    /** @type {import('./table.js').Column<Block>[]} */ ([
      { head: 'Who', cell: whoCell },
      { head: 'Issuer', cell: ({ issuer }) => issuerWords(issuer) },
      {
        head: 'Kind',
        cell: ({ kind, can_unblock: can }) => (kind === 'jti' && !can ? 'Signed out' : (KINDS[kind] ?? kind)),
      },
      { head: 'Reason', cell: ({ reason }) => reason || '–' },
      { head: 'Since', cell: ({ created_at: since }) => timeOf(since) },
      {
        head: 'Actions',
        kind: 'actions',
        cell: (one) =>
          one.can_unblock
            ? button('Unblock', () => void unblock(one), {
                'aria-label': `Unblock ${isolate(one.subject || one.issuer)}`,
              })
            : '',
      },
    ]),
    ({ kind, issuer, subject }) => JSON.stringify([kind, issuer, subject]),
    'Nothing is blocked.',
  );
  const pages = new Pages(
    (cursor, signal) => context.api.blocks({ state: signOuts.checked ? 'all' : 'liftable', cursor }, signal),
    (rows) => {
      errorBox.clear();
      table.show(rows);
    },
    (error) => errorBox.show(error, () => void pages.restart()),
  );

  /** @param {Block} block */
  async function unblock(block) {
    const { key, issuer, subject, kind } = block;
    const done = key
      ? await unblockUser(context, { key, issuer, subject, name: subject })
      : await openDialog(context, {
          title: kind === 'jti' ? 'Unblock this token?' : `Unblock the issuer ${issuer}?`,
          body: [
            h(
              'p',
              {},
              kind === 'jti'
                ? `The token ${subject} is accepted again until it expires.`
                : 'Its users can call the broker again.',
            ),
          ],
          action: 'Unblock',
          act: async () => {
            await context.api.removeBlock(issuer, kind === 'jti' ? subject : undefined);
            context.announce('Unblocked.');
          },
        });
    if (!done) return;
    await pages.restart();
    /** @type {HTMLElement | null} */ (
      table.element.querySelector('button') ?? document.querySelector('#view h1')
    )?.focus();
  }

  return {
    title: 'Blocks',
    element: h(
      'div',
      {},
      heading('Blocks', h('label', { class: 'tick' }, signOuts, 'Also show sign-outs')),
      h(
        'p',
        { class: 'quiet lead' },
        'Everything that is blocked. Block a person on their page under ',
        h('a', { href: '#/users' }, 'Users'),
        ', and a token or a whole issuer with ',
        h('code', {}, 'broker blocks add'),
        '.',
      ),
      errorBox.element,
      table.element,
      pages.element,
    ),
    refresh: () => void pages.restart(),
    close: () => pages.close(),
  };
}

/** @param {Block} block */
function whoCell({ key, subject, kind }) {
  if (key) return person({ key, issuer: 'live-broker', subject, name: subject });
  return h('span', { class: 'whole', title: subject }, kind === 'issuer' ? 'everyone' : subject);
}
