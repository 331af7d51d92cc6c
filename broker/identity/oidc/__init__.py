"""Browser sign-in with an external issuer: OpenID Connect, authorization code with PKCE (S256).

`flow` is one attempt in one browser. `provider` finds the endpoints of the issuer. `client` requests the
code, exchanges it and verifies the ID token. `session` makes the HTTP calls, and `factory` builds a client
for each issuer. Needs the issuer's verifier for ID tokens. `http/oidc.py` handles cookies, redirects and the
return page.
"""
