/**
 * A real OpenID provider (the npm package oidc-provider) on loopback, for the tests of signing in with one.
 *
 *   node tests/browser/oidc_provider.mjs PORT CLIENTS_JSON
 *
 * Owns: one plain sign-in page, on which any name gets in with the password "let-me-in". A person's claims come
 * from the name: "ada+gold@staff" has the plan "gold" and the group "staff". Its first line on stdout says when
 * it is ready. Leaves: everything that OpenID Connect says to the package, unchanged.
 */
import { generateKeyPairSync } from 'node:crypto';

import { Provider } from 'oidc-provider';

const [port, clients] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

const provider = new Provider(issuer, {
  clients: JSON.parse(clients),
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'first', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['only-for-tests'] },
  claims: { openid: ['sub', 'plan', 'groups'], profile: ['name'] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => claimsOf(id) }),
  // Our own clients: nobody is asked whether they may know a name.
  async loadExistingGrant(ctx) {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid profile');
    await grant.save();
    return grant;
  },
});

/** @param {string} id */
function claimsOf(id) {
  const [, name = id, plan, group] = /^([^+@]*)(?:\+([^@]*))?(?:@(.*))?$/.exec(id) ?? [];
  return { sub: id, name: `${name} of the provider`, ...(plan && { plan }), ...(group && { groups: [group] }) };
}

const page = (wrong) => `<!doctype html>
<html lang="en"><title>The provider</title><h1>The provider</h1>
<form method="post">${wrong ? '<p role="alert">No.</p>' : ''}
<label>Name <input name="name"></label>
<label>Password <input name="password" type="password"></label>
<button name="do" value="sign-in">Sign in</button> <button name="do" value="cancel">Cancel</button>
</form></html>`;

async function form(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt } = await provider.interactionDetails(ctx.req, ctx.res);
  if (prompt.name === 'consent') {
    ctx.respond = false;
    return provider.interactionFinished(ctx.req, ctx.res, { consent: {} }, { mergeWithLastSubmission: true });
  }
  ctx.type = 'html';
  ctx.body = page(false);
  if (ctx.method !== 'POST') return undefined;
  const given = await form(ctx.req);
  if (given.get('do') === 'cancel') {
    const no = { error: 'access_denied', error_description: 'provider-text-that-nobody-may-see' };
    ctx.respond = false;
    return provider.interactionFinished(ctx.req, ctx.res, no);
  }
  if (given.get('password') !== 'let-me-in') ctx.body = page(true);
  else {
    ctx.respond = false;
    return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: given.get('name') } });
  }
  return undefined;
});

provider.on('server_error', (_ctx, error) => console.error(error));
provider.listen(Number(port), '127.0.0.1', () => console.log(`provider ready: ${issuer}`));
