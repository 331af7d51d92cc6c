import { LiveSession, TokenSource } from '@live-broker/client';

const signIn = await fetch('/auth/login', {
  method: 'POST',
  credentials: 'omit',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({ username: 'demo', password: 'demo-password' }),
});
const { access_token: bearer } = await signIn.json();
const session = new LiveSession({
  tokenSource: TokenSource.endpoint('/token', { credentials: 'omit', headers: { Authorization: `Bearer ${bearer}` } }),
});

async function talk() {
  await session.start();
  await session.startRecording();
  const answered = new Promise((resolve) => {
    session.addEventListener('caption', ({ detail }) => detail.role === 'model' && resolve(detail.text));
  });
  session.sendText('Hello');
  const text = await answered;
  const { network } = session.diagnostics();
  const wav = await session.stopRecording();
  await session.end();
  return { text, network, recorded: wav.size };
}

const said = document.querySelector('#said');
function show(result) {
  said.textContent = JSON.stringify(result);
  said.dataset.done = '';
}
document.querySelector('#talk').onclick = () =>
  talk().then(show, (fault) => show({ fault: `${fault} ${fault.detail}` }));
said.textContent = 'ready';
