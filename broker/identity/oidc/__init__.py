"""Browser sign-in with an external issuer: OpenID Connect, authorization code with PKCE (S256).

`flow` is one attempt, bound to one browser; `provider` says where the issuer's endpoints are; `client` asks
for the code and turns it into a Principal. Needs the issuer's verifier for the ID token and the fetcher of
`identity.issuers`. Leaves cookies, redirects and the return page to `http/oidc.py`.
"""
