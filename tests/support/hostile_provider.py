"""An OpenID provider of our own making that can be told to misbehave; by default it does everything right.

Owns: discovery, keys, a token endpoint that holds a code to its PKCE challenge, its address and its one use.
There is no sign-in page: `authorize` is what a browser would come back with. The real provider of the browser
tests shows that we speak the protocol; this one shows what happens when the other side does not.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.issuers import Signer, b64, claims, signer

Answer = tuple[int, dict[str, str], bytes]


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    return status, {"Content-Type": "application/json", **headers}, json.dumps(value).encode()


class HostileProvider:
    """Use as a context manager. `change` what the ID token says, or what the token endpoint `answers`."""

    def __init__(self, client_id: str = "client-of-fake") -> None:
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
        self.delay_seconds = self.drip_seconds = 0.0
        self.asked: list[str] = []
        self.posted: list[tuple[dict[str, str], dict[str, str]]] = []
        self.given: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def authorize(self, address: str) -> dict[str, str]:
        """The person signs in at `address`: the parameters with which the browser is sent back."""
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

    def _handler(provider: HostileProvider) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                keys = json_answer({"keys": [provider.signer.jwk()]})
                self._answer(keys if self.path == "/keys" else provider._discover())

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                time.sleep(provider.delay_seconds)
                self._answer(provider._exchange(dict(self.headers), dict(parse_qsl(body))))

            def _answer(self, answer: Answer) -> None:
                status, headers, body = answer
                try:
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(body)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    for byte in body if provider.drip_seconds else ():
                        self.wfile.write(bytes([byte]))
                        time.sleep(provider.drip_seconds)
                    if not provider.drip_seconds:
                        self.wfile.write(body)
                except OSError:
                    pass  # the other side had seen enough

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler
