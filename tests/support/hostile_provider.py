"""HostileProvider: an OpenID provider that misbehaves on request. By default it does everything right.

Owns discovery, keys, and a token endpoint that checks a code's PKCE challenge, address and single use.
It has no sign-in page: `authorize` returns the parameters with which a browser would come back. The real
provider of the browser tests shows that we speak the protocol; this one shows how we treat a faulty provider.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.http_server import Answer, HttpServer, Request, json_answer
from tests.support.issuers import Signer, b64, claims, signer


class HostileProvider(HttpServer):
    """Use as a context manager. `claims` and `header` change the ID token; `answer` replaces the response."""

    def __init__(self, client_id: str = "client-of-fake") -> None:
        super().__init__()
        self.client_id = client_id
        self.signer: Signer = signer("provider")
        self.access_token = "canary-access-" + secrets.token_hex(16)
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] | None = None
        self.answer: Callable[[], Answer] | None = None
        self.tokens: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.discovery: Answer | None = None
        self.holds_to_pkce = True
        self.posted: list[tuple[dict[str, str], dict[str, str]]] = []
        self.given: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}

    def authorize(self, address: str) -> dict[str, str]:
        """Signs the person in at `address` and returns the parameters of the redirect back to us."""
        asked = dict(parse_qsl(urlsplit(address).query))
        code = "canary-code-" + secrets.token_hex(16)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url}

    def id_token(self, nonce: str | None) -> str:
        half = hashlib.sha256(self.access_token.encode()).digest()[:16]
        said = {"aud": self.client_id, "nonce": nonce or ..., "at_hash": b64(half), "name": "Ada"}
        filled = claims(self.url, **{**said, **self.claims})
        token = self.sign(filled) if self.sign else self.signer.token(filled, **self.header)
        self.given.append(token)
        return token

    def answer_to(self, request: Request) -> Answer:
        if request.method == "POST":
            return self._exchange(request.headers, dict(parse_qsl(request.body.decode())))
        if request.path == "/keys":
            return json_answer({"keys": [self.signer.jwk()]})
        return self._discover()

    def _discover(self) -> Answer:
        return self.discovery or json_answer(
            {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "authorization_response_iss_parameter_supported": True,
                **self.document,
            }
        )

    def _exchange(self, headers: dict[str, str], form: dict[str, str]) -> Answer:
        self.posted.append((headers, form))
        if self.answer is not None:
            return self.answer()
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return json_answer({"error": "invalid_grant", "error_description": "canary-words"}, 400)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if self.holds_to_pkce and challenge != asked.get("code_challenge"):
            return json_answer({"error": "invalid_grant", "error_description": "canary-words"}, 400)
        tokens = {"access_token": self.access_token, "token_type": "Bearer", "expires_in": 60}
        tokens |= {"id_token": self.id_token(asked.get("nonce")), **self.tokens}
        return json_answer({name: value for name, value in tokens.items() if value is not ...})
