/**
 * The actions that the audit trail knows, for the filter. tests/unit/test_audit_actions.py compares them with the broker.
 */

/** @type {[group: string, actions: string[]][]} */
export const ACTIONS = [
  [
    'Users',
    [
      'user.add',
      'user.block',
      'user.unblock',
      'user.roles',
      'user.team',
      'user.password',
      'user.sign-out',
      'user.token',
      'user.remove',
    ],
  ],
  ['Limits', ['limits.set']],
  ['Keys', ['key.create', 'key.revoke']],
  ['Sessions', ['session.end']],
  ['History', ['purge']],
  [
    'Blocks',
    [
      'block.principal',
      'unblock.principal',
      'block.jti',
      'unblock.jti',
      'block.issuer',
      'unblock.issuer',
      'block.issued-before',
    ],
  ],
  ['New tokens', ['suspend', 'resume']],
  ['Requests', ['token', 'next-token', 'sign-in', 'request', 'admin', 'issuer-audit', 'check']],
];

/** Outcomes that are no refusal. */
export const OUTCOMES = ['ok', 'reserved', 'repeated', 'would-admit'];
