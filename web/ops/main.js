/**
 * The operators' page: the sign-in form, the tabs, and which view is open.
 */

import { byId, isolate } from '../common/dom.js';
import { SignInForm } from '../common/sign-in-form.js';

import { AdminApi } from './api.js';
import { auditView } from './audit.js';
import { blocksView } from './blocks.js';
import { h } from './build.js';
import { explain } from './errors.js';
import { keysView } from './keys.js';
import { overviewView } from './overview.js';
import { sessionsView } from './sessions.js';
import { SuspensionBanner } from './suspension.js';
import { teamView } from './team.js';
import { teamsView } from './teams.js';
import { userView } from './user.js';
import { usersView } from './users.js';

/** @typedef {import('./view.js').ViewContext} ViewContext */
/** @typedef {import('./view.js').View} View */

/** Views by the first part of the URL fragment. The rest and the filters after `?` belong to the view. @type {Record<string, (context: ViewContext, rest: string, filters: URLSearchParams) => View>} */
const VIEWS = {
  overview: overviewView,
  sessions: sessionsView,
  users: (context, key, filters) => (key ? userView(context, key) : usersView(context, filters)),
  teams: (context, name) => (name ? teamView(context, name) : teamsView(context)),
  keys: keysView,
  blocks: blocksView,
  audit: (context, _, filters) => auditView(context, filters),
};
/** The most messages kept in the live region. A screen reader speaks only what is added. */
const KEEP = 6;

const signInDialog = byId('sign-in-dialog', HTMLDialogElement);
const host = byId('view', HTMLElement);
const announcer = byId('announcer', HTMLDivElement);
const api = new AdminApi();
const signInForm = new SignInForm(api, explain, enter);
/** @type {View | null} */
let open = null;
let operator = '';

/** @type {ViewContext} */
const context = {
  api,
  announce(text) {
    announcer.append(h('p', {}, text));
    while (announcer.childElementCount > KEEP) announcer.firstElementChild?.remove();
  },
  navigate(path) {
    window.location.hash = `#${path}`;
  },
  signedOut: ({ title, detail }) => showSignIn(`${title}. ${detail}`),
  suspend: () => void suspension.suspend(),
};
const suspension = new SuspensionBanner(context);
host.before(suspension.element);

/** Opens the page if the account is an operator. The same operator gets the view back as it was. */
async function enter() {
  const account = await api.me();
  if (!account) throw new Error('The sign-in was not kept');
  if (!account.roles.includes('operator')) throw new NotAnOperator(account.name);
  const sameOperator = operator === account.name;
  operator = account.name;
  byId('signed-in-as', HTMLSpanElement).textContent = account.name;
  document.body.dataset.view = 'main';
  if (signInDialog.open) signInDialog.close();
  suspension.refresh();
  if (sameOperator && open) open.refresh();
  else route();
}

/** Opens the sign-in form above everything else, including open dialogs. @param {string} reason */
function showSignIn(reason) {
  document.body.dataset.view = 'sign-in';
  if (!signInDialog.open) {
    signInDialog.showModal();
    signInForm.show(reason);
  }
}

async function signOut() {
  await api.logout().catch(() => {}); // if the broker is down, the cookie stays until it expires
  closeView();
  showSignIn('');
}

/** Closes the view and forgets the operator. */
function closeView() {
  open?.close();
  open = null;
  suspension.stop();
  operator = '';
  host.replaceChildren();
}

/** Shows the view that the URL names. */
function route() {
  const [, name = '', rest = '', filters = ''] =
    /^#\/([a-z]+)(?:\/([A-Za-z0-9._:@+-]+))?(?:\?(.*))?$/.exec(window.location.hash) ?? [];
  const known = name in VIEWS ? name : 'overview';
  const first = open === null;
  open?.close();
  open = VIEWS[known](context, rest, new URLSearchParams(filters));
  host.replaceChildren(open.element);
  document.title = `${open.title} · Live Broker`;
  for (const link of document.querySelectorAll('#tabs a')) {
    if (link.getAttribute('href') === `#/${known}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  open.refresh();
  window.scrollTo(0, 0);
  // A screen reader reads the heading of a new view. On the first load it reads the page.
  if (!first) host.querySelector('h1')?.focus();
}

class NotAnOperator extends Error {
  code = 'forbidden';

  /** @param {string} name */
  constructor(name) {
    super('not an operator');
    this.detail = `You are signed in as ${isolate(name)}, who does not have the operator role.`;
  }
}

signInDialog.addEventListener('cancel', (event) => event.preventDefault());
// Browsers close a dialog on the second Escape even if the page prevents it, so it opens again.
signInDialog.addEventListener('close', () => {
  if (document.body.dataset.view === 'sign-in') signInDialog.showModal();
});
byId('sign-out', HTMLButtonElement).addEventListener('click', () => void signOut());
window.addEventListener('hashchange', () => {
  if (operator) route();
});

try {
  // Without a cookie nobody is signed in, and a request would leave a 401 in the console.
  if (document.documentElement.dataset.signedIn === 'no') showSignIn('');
  else await enter();
} catch (error) {
  const { title, detail, code } = explain(error);
  showSignIn(code === 'unknown' ? '' : `${title}. ${detail}`);
}
