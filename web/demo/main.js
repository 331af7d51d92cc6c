/**
 * Builds the demo page from its parts, connects them, and switches between the sign-in view and the talk view.
 */
import { Api } from '../common/api.js';
import { byId, isolate } from '../common/dom.js';
import { SignInForm } from '../common/sign-in-form.js';

import { Allowance } from './allowance.js';
import { Announcer } from './announcer.js';
import { explain } from './errors.js';
import { Lazy } from './lazy.js';
import { Notice } from './notice.js';
import { Ring } from './ring.js';
import { setUpSheet } from './sheet.js';
import { Conversation } from './talk.js';
import { TalkView } from './talk-view.js';

/** @typedef {import('./errors.js').Action} Action */

/** Of a typed message. */
const MAX_CHARACTERS = 4000;

const compose = byId('compose', HTMLFormElement);
const message = byId('message', HTMLInputElement);
const tools = byId('tools', HTMLDivElement);

const api = new Api();
const ring = new Ring(byId('ring', HTMLCanvasElement), byId('talk', HTMLButtonElement));
const view = new TalkView(ring);
const allowance = new Allowance(api);
const announcer = new Announcer(byId('announcer', HTMLDivElement));
const notice = new Notice((action) => ACTIONS[action]());
const signInForm = new SignInForm(api, explain, async () => {
  if (!(await enter())) throw new Error('The sign-in was not kept');
  view.talk.focus();
});
const conversation = new Conversation({ api, view, ring, notice, announcer, signedOut: showSignIn });

/** @type {Record<Action, () => void>} */
const ACTIONS = {
  retry: resume,
  again: resume,
  'other-sessions': () => void offerOthers(),
  'sign-in': () => showSignIn(''),
  type: () => message.focus(),
  reload: () => window.location.reload(),
  dismiss: () => {
    notice.clear();
    message.focus();
  },
};

/** @param {'sign-in' | 'talk'} name */
function show(name) {
  document.body.dataset.view = name;
  byId('sign-in-view', HTMLElement).hidden = name !== 'sign-in';
  byId('talk-view', HTMLElement).hidden = name !== 'talk';
  tools.hidden = name !== 'talk';
}

/** The last signed-in user. If another user signs in, the page reloads and the transcript is gone. */
let lastUser = '';

/** Opens the talk view for the signed-in user. Returns false if nobody is signed in. */
async function enter() {
  const profiles = api.profiles();
  profiles.catch(() => {}); // awaited below; without a sign-in the error does not matter
  const account = await api.me();
  if (!account) return false;
  if (lastUser && lastUser !== account.name) {
    window.location.reload();
    return true;
  }
  lastUser = account.name;
  view.profile.fill(await profiles);
  allowance.show(account);
  byId('sign-out', HTMLButtonElement).title = `Signed in as ${isolate(account.name)}`;
  show('talk');
  conversation.reset();
  return true;
}

/** Opens the sign-in view with a reason, or with none. @param {string} reason */
function showSignIn(reason) {
  view.render({ state: 'signed-out', microphone: true, muted: false });
  notice.clear();
  show('sign-in');
  signInForm.show(reason);
}

async function signOut() {
  byId('sign-out', HTMLButtonElement).disabled = true;
  await conversation.end();
  const gone = await api.logout().then(
    () => true,
    () => false,
  ); // if the broker is down, the cookie stays until it expires
  // The reload removes the transcript, the draft and the recording.
  if (gone) window.location.reload();
  else {
    byId('sign-out', HTMLButtonElement).disabled = false;
    conversation.clearTranscript();
    announcer.clear();
    message.value = '';
    showSignIn('');
  }
}

/** Starts again. The focus moves to Talk, because the button that was clicked disappears. */
async function startAgain() {
  view.talk.focus();
  await conversation.start(true);
}

/** Starts again in the same way as before: typed or spoken. */
function resume() {
  if (conversation.typing && message.value) compose.requestSubmit();
  else void startAgain();
}

/** All places are taken by the person's other conversations: offers to end one of them. */
async function offerOthers() {
  const failed = (/** @type {unknown} */ error) => conversation.showError(error);
  try {
    const { offerOtherSessions } = await import('./other-sessions.js');
    await offerOtherSessions(api, notice.actions, (name) => view.nameOf(name), resume, failed);
  } catch {
    failed({ code: 'part-missing' });
  }
}

const settings = new Lazy(async () => {
  const { Settings } = await import('./settings.js');
  return new Settings(conversation.session, (push) => conversation.setPush(push));
});
const transcriptFile = new Lazy(async () => {
  const { TranscriptFile } = await import('./transcript-file.js');
  return new TranscriptFile(conversation.session);
});
const videoPreview = new Lazy(async () => {
  const { VideoPreview } = await import('./video-preview.js');
  return new VideoPreview(conversation.session, view, (error) => notice.show(explain(error)));
});
const developer = new Lazy(async () => {
  const { Developer } = await import('./developer.js');
  return new Developer(() => view.profile.value);
});
/** A conversation may be running, so the notice does not offer to start one. */
const showLoadFailure = () => notice.show(explain({ code: 'panel-missing' }));

const settingsSheet = byId('settings', HTMLDetailsElement);

/** @param {(panel: import('./settings.js').Settings) => unknown} [use] */
function openSettings(use) {
  settings
    .get()
    .then(async (panel) => {
      await panel.refresh();
      await use?.(panel);
    })
    .catch(() => {
      settingsSheet.open = false;
      showLoadFailure();
    });
}

/** @param {'camera' | 'screen'} source */
function toggleVideo(source) {
  void videoPreview.get().then((preview) => preview.toggle(source), showLoadFailure);
}

async function send() {
  const text = message.value.trim();
  if (!text) return;
  message.value = '';
  if (await conversation.say(text)) return;
  message.value = [message.value, text].filter(Boolean).join(' '); // unsent text returns to the box
}

// The focus ring after the sign-in is for keyboards only.
view.talk.addEventListener('pointerdown', () => view.talk.blur());
view.talk.addEventListener('click', () => void conversation.toggle());
view.mute.addEventListener('click', () => conversation.toggleMute());
view.interrupt.addEventListener('click', () => conversation.interrupt());
// Before the panels react: Escape closes an open one first.
document.addEventListener(
  'keydown',
  ({ key, isComposing }) => {
    if (key === 'Escape' && !isComposing && !document.querySelector('details[open], dialog[open]'))
      conversation.interrupt();
  },
  { capture: true },
);
view.end.addEventListener('click', () => void conversation.end().then(() => view.talk.focus()));
view.checkMicrophone.addEventListener('click', () => {
  settingsSheet.open = true;
  openSettings((panel) => panel.checkMicrophone());
});
setUpSheet(settingsSheet, () => openSettings());
setUpSheet(byId('diagnostics', HTMLDetailsElement), () => conversation.openDiagnostics());
setUpSheet(byId('developer', HTMLDetailsElement), (panel) => {
  developer.get().then(
    (part) => part.show(),
    () => {
      panel.open = false;
      showLoadFailure();
    },
  );
});
for (const button of document.querySelectorAll('button[data-keep]')) {
  button.addEventListener('click', () => {
    const { keep } = button instanceof HTMLButtonElement ? button.dataset : {};
    void transcriptFile.get().then((file) => file.keep(keep), showLoadFailure);
  });
}
view.camera.addEventListener('click', () => toggleVideo('camera'));
view.screen.addEventListener('click', () => toggleVideo('screen'));
view.volume.addEventListener('input', () => conversation.setVolume(view.volume.valueAsNumber / 100));
byId('sign-out', HTMLButtonElement).addEventListener('click', () => void signOut());
// Only where guests are enabled. `GET /me` without a sign-in creates a guest.
document.getElementById('guest')?.addEventListener('click', () => {
  api
    .me()
    .then(enter)
    .then(
      () => view.talk.focus(),
      (error) => {
        const { title, detail } = explain(error);
        showSignIn(`${title}. ${detail}`);
      },
    );
});
message.addEventListener('input', () => {
  const { length } = message.value;
  const tooLong = length > MAX_CHARACTERS;
  // The browser shows it instead of sending. Nothing that was pasted is cut off.
  message.setCustomValidity(
    tooLong ? `A message has at most 4,000 characters. This one has ${length.toLocaleString('en')}.` : '',
  );
});
compose.addEventListener('submit', (event) => {
  event.preventDefault();
  void send();
});
for (const chip of document.querySelectorAll('[data-say]')) {
  chip.addEventListener('click', () => {
    if (chip instanceof HTMLElement) void conversation.say(chip.dataset.say ?? '');
  });
}
// What a browser says about being offline may be wrong. So the page says it only after a failure.
window.addEventListener('online', () => {
  if (notice.code !== 'offline') return;
  if (conversation.live) notice.clear();
  else conversation.reset();
});
window.addEventListener('pagehide', () => void conversation.end());

/** The error of a sign-in with another provider, or an empty string. Removes it from the URL so that a reload does not repeat it. */
function signInResult() {
  const code = new URLSearchParams(window.location.search).get('sign-in');
  if (code === null) return '';
  window.history.replaceState(null, '', window.location.pathname);
  const { title, detail } = explain({ code });
  return `${title}. ${detail}`;
}

try {
  const reason = signInResult();
  // Without a cookie nobody is signed in, and a request would leave a 401 in the console.
  const known = document.documentElement.dataset.signedIn !== 'no' && (await enter());
  if (!known) showSignIn(reason);
} catch (error) {
  const { title, detail } = explain(error);
  showSignIn(`${title}. ${detail}`);
}
