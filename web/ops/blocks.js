/**
 * Blocks that do not concern the broker's own users: people of other issuers, single tokens, whole issuers.
 * An operator lifts a person's block on the user page, and the other kinds with the `broker` command.
 */
import { h } from './build.js';
import { ErrorBox } from './error-box.js';
import { timeOf } from './format.js';
import { heading, issuerWords, Pages } from './parts.js';
import { Table } from './table.js';

/** @typedef {import('./api.js').Block} Block */

/** @type {Record<string, string>} */
const KINDS = {
  principal: 'Person',
  jti: 'Single token',
  issuer: 'Whole issuer',
  'issued-before': 'Tokens issued before a time',
};

/** @param {import('./view.js').ViewContext} context @returns {import('./view.js').View} */
export function blocksView(context) {
  const errorBox = new ErrorBox(context);
  const table = new Table(
    'Blocks',
    /** @type {import('./table.js').Column<Block>[]} */ ([
      { head: 'Who', cell: ({ subject }) => subject || 'everyone' },
      { head: 'Issuer', cell: ({ issuer }) => issuerWords(issuer) },
      { head: 'Kind', cell: ({ kind }) => KINDS[kind] ?? kind },
      { head: 'Reason', cell: ({ reason }) => reason || '–' },
      { head: 'Since', cell: ({ created_at: since }) => timeOf(since) },
    ]),
    ({ kind, issuer, subject }) => JSON.stringify([kind, issuer, subject]),
    'No blocks.',
  );
  const pages = new Pages(
    (cursor, signal) => context.api.blocks({ cursor }, signal),
    (rows) => {
      errorBox.clear();
      table.show(rows);
    },
    (error) => errorBox.show(error, () => void pages.restart()),
  );
  return {
    title: 'Blocks',
    element: h(
      'div',
      {},
      heading('Blocks'),
      h(
        'p',
        { class: 'quiet lead' },
        'This list does not include the broker’s own users. Find blocked ones under ',
        h('a', { href: '#/users' }, 'Users'),
        '. Unblock a person on their own page. Unblock single tokens and whole issuers with ',
        h('code', {}, 'broker blocks'),
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
