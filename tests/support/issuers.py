"""Issuers of our own making: keys, tokens of any shape, and a key server that can be told to misbehave."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass(frozen=True)
class Signer:
    """A key pair and its name. `token` signs exactly the bytes that it is given, whatever they say."""

    kid: str
    algorithm: str
    private: Any = field(repr=False)

    @classmethod
    def make(cls, kid: str, algorithm: str = "RS256", *, bits: int = 2048) -> Signer:
        if algorithm == "EdDSA":
            return cls(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
        if algorithm in CURVES:
            return cls(kid, algorithm, ec.generate_private_key(CURVES[algorithm]))
        return cls(kid, algorithm, rsa.generate_private_key(public_exponent=65537, key_size=bits))

    def jwk(self, **changed: Any) -> dict[str, Any]:
        """The public half, as an issuer publishes it; `...` leaves a member out."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        members = json.loads(algorithm.to_jwk(self.private.public_key()))
        members.pop("key_admin", None)
        members |= {"kid": self.kid, "alg": self.algorithm, "use": "sig", **changed}
        return {name: value for name, value in members.items() if value is not ...}

    def token(self, claims: dict[str, Any] | str | bytes, **header: Any) -> str:
        members = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid, **header}
        return self.over(json.dumps({k: v for k, v in members.items() if v is not ...}), claims)

    def over(self, header: str, claims: dict[str, Any] | str | bytes) -> str:
        text = claims if isinstance(claims, str | bytes) else json.dumps(claims)
        body = text if isinstance(text, bytes) else text.encode()
        signing_input = f"{b64(header.encode())}.{b64(body)}"
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        return f"{signing_input}.{b64(algorithm.sign(signing_input.encode(), self.private))}"


@cache
def signer(kid: str, algorithm: str = "RS256", bits: int = 2048) -> Signer:
    """The same key for the same name: making RSA keys takes its time."""
    return Signer.make(kid, algorithm, bits=bits)


def claims(issuer: str, **changed: Any) -> dict[str, Any]:
    """Good for ten minutes, for the audience `voice`; `...` leaves a claim out."""
    now = int(time.time())
    every = {"iss": issuer, "aud": "voice", "sub": "user-1", "iat": now, "exp": now + 600, **changed}
    return {name: value for name, value in every.items() if value is not ...}


def entry(name: str, issuer: str, jwks_url: str, *lines: str) -> str:
    """An `[[issuers]]` block of broker.toml."""
    own = [f'name = "{name}"', f'issuer = "{issuer}"', f'jwks_url = "{jwks_url}"']
    if not any(line.startswith("audience") for line in lines):
        own.append('audience = "voice"')
    return "\n".join(["", "[[issuers]]", *own, *lines, ""])


class KeyServer:
    """A real HTTP server on loopback. `answers` maps a path to a document, or to bytes."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.delay_seconds = 0.0
        self.drip_seconds = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def publish(self, path: str, signers: Iterable[Signer]) -> str:
        """A key set at `path`; returns its address."""
        self.answers[path] = {"keys": [signer.jwk() for signer in signers]}
        return self.url + path

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

    def _handler(server: KeyServer) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                time.sleep(server.delay_seconds)
                answer = server.answers.get(self.path)
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                status = server.status if answer is not None else 404
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    for name, value in server.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self._send(body)
                except OSError:
                    pass  # the other side had seen enough

            def _send(self, body: bytes) -> None:
                if not server.drip_seconds:
                    self.wfile.write(body)
                    return
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(server.drip_seconds)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler
