"""Test issuers: keys, tokens of any shape, and a key server that misbehaves on request."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.support.http_server import Answer, HttpServer, Request

CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass(frozen=True)
class Signer:
    """A key pair and its name. `token` signs the given bytes as they are and checks nothing."""

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
        """The public key as an issuer publishes it. `...` as a value leaves the member out."""
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        members = json.loads(algorithm.to_jwk(self.private.public_key()))
        members.pop("key_ops", None)
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
    """The same key for the same name, because generating an RSA key is slow."""
    return Signer.make(kid, algorithm, bits=bits)


def claims(issuer: str, **changed: Any) -> dict[str, Any]:
    """Claims for the audience `voice`, valid for ten minutes. `...` as a value leaves the claim out."""
    now = int(time.time())
    every = {"iss": issuer, "aud": "voice", "sub": "user-1", "iat": now, "exp": now + 600, **changed}
    return {name: value for name, value in every.items() if value is not ...}


def entry(name: str, issuer: str, jwks_url: str, *lines: str) -> str:
    """An `[[issuers]]` block of broker.toml."""
    own = [f'name = "{name}"', f'issuer = "{issuer}"', f'jwks_url = "{jwks_url}"']
    if not any(line.startswith("audience") for line in lines):
        own.append('audience = "voice"')
    return "\n".join(["", "[[issuers]]", *own, *lines, ""])


class KeyServer(HttpServer):
    """Publishes key sets. `answers` maps a path to a document or to bytes; `headers` are sent with each."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Any] = {}
        self.status = 200
        self.headers: dict[str, str] = {}

    def publish(self, path: str, signers: Iterable[Signer]) -> str:
        """Serves a key set at `path` and returns its address."""
        self.answers[path] = {"keys": [signer.jwk() for signer in signers]}
        return self.url + path

    def answer_to(self, request: Request) -> Answer:
        document = self.answers.get(request.path)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        status = 404 if document is None else self.status
        return status, {"Content-Type": "application/json", **self.headers}, body
