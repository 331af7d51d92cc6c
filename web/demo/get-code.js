/**
 * Programs that use this broker with the chosen profile, ready to paste. Pure functions.
 *
 * No credential is in them: each program asks for it, or reads it from the environment.
 */

/** @typedef {{origin: string, profile: string}} Place `origin` of the broker; `profile` may be '' for the default one */

/** A JSON text inside single quotes of a shell. @param {object} value */
const quoted = (value) => `'${JSON.stringify(value).replaceAll("'", `'\\''`)}'`;
/** @param {Place} place */
const bodyOf = ({ profile }) => (profile ? { profile } : {});

/** @param {Place} place */
function curl(place) {
  const { origin } = place;
  return `#!/usr/bin/env bash
# Needs curl and jq. Asks for the username and the password, and keeps neither.
set -euo pipefail
BROKER=\${BROKER:-${origin}}

if [ -z "\${BEARER:-}" ]; then
  read -rp 'Username: ' NAME
  read -rsp 'Password: ' PASSWORD && echo >&2
  BEARER=$(jq -n --arg username "$NAME" --arg password "$PASSWORD" '$ARGS.named' |
    curl -fsS "$BROKER/auth/login" -H 'Content-Type: application/json' --data @- | jq -r .access_token)
fi

# Opens a session. The answer has the token for one connection, the address, and the first frame ("setup").
ANSWER=$(curl -fsS -X POST "$BROKER/token" -H "Authorization: Bearer $BEARER" \\
  -H 'Content-Type: application/json' -d ${quoted(bodyOf(place))})
echo "$ANSWER" | jq 'del(.token)'

# Ends it, so that its place and the rest of its minutes are free again.
SESSION=$(echo "$ANSWER" | jq -r .session.id)
curl -fsS -X POST "$BROKER/sessions/$SESSION/end" -H "Authorization: Bearer $BEARER" \\
  -H 'Content-Type: application/json' -d '{}'
`;
}

/** @param {Place} place */
function javascript(place) {
  return `// A module of your page. Serve a copy of the broker's folder live/ at /live/,
// and name your page's origin in BROKER_ALLOWED_ORIGINS.
import { LiveSession, TokenSource } from '/live/index.js';

// Replace this with the sign-in of your app.
let bearer = '';
const signIn = () => (bearer ||= window.prompt('Bearer token of the user') ?? '');

const session = new LiveSession({
  tokenSource: TokenSource.endpoint(${JSON.stringify(`${place.origin}/token`)}, {
    headers: () => ({ Authorization: \`Bearer \${signIn()}\` }),
    body: ${JSON.stringify(bodyOf(place))},
    credentials: 'omit',
  }),
});

const talk = document.createElement('button');
const said = document.createElement('p');
talk.textContent = 'Talk';
document.body.append(talk, said);

session.addEventListener('statechange', ({ detail }) => {
  talk.textContent = ['idle', 'ended', 'error'].includes(detail.state) ? 'Talk' : \`Stop (\${detail.state})\`;
});
session.addEventListener('caption', ({ detail }) => {
  said.textContent = \`\${detail.role}: \${detail.text}\`;
});
talk.addEventListener('click', () => {
  if (!['idle', 'ended', 'error'].includes(session.state)) return session.end();
  return session.start().catch((error) => {
    said.textContent = \`\${error.detail} \${error.hint ?? ''}\`;
  });
});
`;
}

/** @param {Place} place */
function react(place) {
  return `// Talk.jsx. Serve a copy of the broker's folder live/ at /live/ (in Vite: public/live/),
// and name your page's origin in BROKER_ALLOWED_ORIGINS.
import { useEffect, useRef, useState } from 'react';

const IDLE = ['idle', 'ended', 'error'];

/** getBearer: an async function that returns the bearer token of the signed-in user. */
export function Talk({ getBearer }) {
  const session = useRef(null);
  const [state, setState] = useState('idle');
  const [lines, setLines] = useState([]);
  const [problem, setProblem] = useState('');

  useEffect(() => {
    let gone = false;
    // An address made at run time, so that the bundler leaves the library and its worker as they are.
    const library = new URL('/live/index.js', window.location.href).href;
    import(/* @vite-ignore */ library).then(({ LiveSession, TokenSource }) => {
      if (gone) return;
      const created = new LiveSession({
        tokenSource: TokenSource.endpoint(${JSON.stringify(`${place.origin}/token`)}, {
          headers: async () => ({ Authorization: \`Bearer \${await getBearer()}\` }),
          body: ${JSON.stringify(bodyOf(place))},
          credentials: 'omit',
        }),
      });
      created.addEventListener('statechange', ({ detail }) => setState(detail.state));
      created.addEventListener('caption', ({ detail }) =>
        setLines((before) => [...before.filter(({ id }) => id !== detail.id), detail]),
      );
      session.current = created;
    }, () => setProblem('The library did not load.'));
    return () => {
      gone = true;
      session.current?.end();
      session.current = null;
    };
  }, [getBearer]);

  const toggle = () => {
    setProblem('');
    if (!IDLE.includes(state)) return session.current?.end();
    return session.current?.start().catch((error) => setProblem(error.detail));
  };

  return (
    <section>
      <button type="button" onClick={toggle}>{IDLE.includes(state) ? 'Talk' : \`Stop (\${state})\`}</button>
      {problem && <p role="alert">{problem}</p>}
      <ol>{lines.map(({ id, role, text }) => <li key={id}>{role}: {text}</li>)}</ol>
    </section>
  );
}
`;
}

/** @param {Place} place */
function python(place) {
  return `# Needs: pip install google-genai. BEARER is the bearer token of the user.
import asyncio
import json
import os
import urllib.request

from google import genai
from google.genai import types

BROKER = os.environ.get("BROKER", ${JSON.stringify(place.origin)})


def post(path, body):
    request = urllib.request.Request(
        BROKER + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["BEARER"], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=15) as answer:
        return json.load(answer)


async def heartbeats(session):
    while True:
        await asyncio.sleep(session["heartbeat_seconds"])
        await asyncio.to_thread(post, f"/sessions/{session['id']}/heartbeat", {})


async def main():
    answer = post("/token", ${JSON.stringify(bodyOf(place))})
    session = answer["session"]
    alive = asyncio.create_task(heartbeats(session))
    base_url = answer["url"].split("/ws/")[0].replace("wss://", "https://")
    options = types.HttpOptions(api_version=answer["api_version"], base_url=base_url)
    client = genai.Client(vertexai=False, api_key=answer["token"], http_options=options)
    config = types.LiveConnectConfig(response_modalities=["AUDIO"])
    try:
        async with client.aio.live.connect(model=answer["model"], config=config) as live:
            await live.send_client_content(
                turns=types.Content(role="user", parts=[types.Part(text="Hello there.")]), turn_complete=True
            )
            async for message in live.receive():  # up to the end of the turn
                content = message.server_content
                if content and content.output_transcription:
                    print(content.output_transcription.text, end="", flush=True)
        print()
    finally:
        alive.cancel()
        # Frees the place and the rest of the minutes at once.
        post(f"/sessions/{session['id']}/end", {})


asyncio.run(main())
`;
}

/** By the name on the button. @type {Record<string, (place: Place) => string>} */
export const PROGRAMS = { curl, JavaScript: javascript, React: react, Python: python };
