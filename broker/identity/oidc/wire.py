"""Calls to a provider: discovery and the token endpoint, under the same bounds as the key sets.

One deadline for everything, a cap on the body, no redirect, no packing, no address that the settings do not
allow. What comes out is JSON or ProviderDown; of an error's text only a known code is kept.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpcore2
import httpx2
from authlib.oauth2.auth import ClientAuth

from broker.identity.oidc.provider import ProviderDown
from broker.net.addresses import address_filter
from broker.net.outbound import BodyRefused, Deadline, DeadlineBackend, bounded_body
from broker.settings import IssuerSpec

DISCOVERY_SECONDS = 3.0
EXCHANGE_SECONDS = 5.0
MAX_BYTES = 128 * 1024
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "live-broker"}
# RFC 6749, section 5.2. Worth a log line: a wrong client secret is the operator's to find.
_CODES = {
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope",
}  # fmt: skip
_TOKENS = {"access_token", "token_type", "id_token"}
_FAULTS = (
    OSError, ValueError, RecursionError, httpcore2.NetworkError, httpcore2.TimeoutException,
    httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, httpcore2.ProxyError,
)  # fmt: skip


class Answer:
    """A token endpoint's answer in the form in which Authlib reads one."""

    status_code = 200

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def json(self) -> dict[str, Any]:
        return dict(self._members)


class Wire:
    """The way to one issuer; Authlib's `session`."""

    def __init__(self, spec: IssuerSpec) -> None:
        host = urlsplit(spec.token_endpoint or spec.issuer).hostname
        self._may_connect = address_filter(host, private_network=spec.private_network)

    def get_json(self, url: str) -> Mapping[str, Any]:
        status, body = self._call("GET", url, _HEADERS, None, DISCOVERY_SECONDS)
        if status != 200:
            raise ProviderDown(f"status {status}")
        return _object(body)

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: ClientAuth) -> Answer:
        """As `requests.Session.post`, which Authlib's client is written for."""
        sent = {**headers, **_HEADERS}  # a copy: Authlib hands out its module's own
        url, sent, form = auth.prepare("POST", url, sent, urlencode(data))
        status, body = self._call("POST", url, sent, form.encode(), EXCHANGE_SECONDS)
        if status != 200 and (status == 429 or not 400 <= status < 500):
            raise ProviderDown(f"status {status}")
        said = _object(body) if status == 200 else {"error": _code(body)}
        if "error" in said:
            return Answer({"error": _known(said["error"])})
        # Nothing else is needed, and Authlib chokes on, say, an `expires_in` that is no number.
        return Answer({name: value for name, value in said.items() if name in _TOKENS})

    def _call(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, seconds: float
    ) -> tuple[int, bytes]:
        deadline = Deadline()
        deadline.start(seconds)
        backend = DeadlineBackend(deadline, may_connect=self._may_connect)
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=_tls(), network_backend=backend, retries=0) as pool,
                pool.stream(method, url, headers=list(headers.items()), content=content) as response,
            ):
                return response.status, bounded_body(response, MAX_BYTES)
        except BodyRefused as refused:
            raise ProviderDown(str(refused)) from None
        except _FAULTS as fault:
            # Its text may hold an address with a code in it.
            raise ProviderDown(type(fault).__name__) from None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderDown("not JSON") from None
    if not isinstance(value, dict):
        raise ProviderDown("not a JSON object")
    return value


def _code(body: bytes) -> object:
    try:
        return _object(body).get("error")
    except ProviderDown:
        return None


def _known(code: object) -> str:
    return code if isinstance(code, str) and code in _CODES else "refused"


@cache
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
