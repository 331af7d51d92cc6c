"""HTTP calls to a provider: discovery and the token endpoint, with the same limits as the key sets.

One deadline covers the whole call. The body has a maximum size. Redirects, compression and addresses that the
settings do not allow are refused. A call returns JSON or raises ProviderUnavailable. Of an error, only a
known code is kept.
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

from broker.identity.oidc.provider import ProviderUnavailable
from broker.net.addresses import address_filter
from broker.net.outbound import BodyRefused, Deadline, DeadlineBackend, bounded_body
from broker.settings import IssuerSpec

DISCOVERY_SECONDS = 3.0
EXCHANGE_SECONDS = 5.0
MAX_BYTES = 128 * 1024
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "live-broker"}
# RFC 6749, section 5.2. Logged, so that the operator can find a wrong client secret.
_ERROR_CODES = {
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope",
}  # fmt: skip
_TOKEN_MEMBERS = {"access_token", "token_type", "id_token"}
_HTTP_ERRORS = (
    OSError, ValueError, RecursionError, httpcore2.NetworkError, httpcore2.TimeoutException,
    httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, httpcore2.ProxyError,
)  # fmt: skip


class TokenResponse:
    """The answer of a token endpoint, with the interface that Authlib expects."""

    status_code = 200

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def json(self) -> dict[str, Any]:
        return dict(self._members)


class ProviderSession:
    """HTTP calls to one issuer. Authlib uses it as its `session`."""

    def __init__(self, spec: IssuerSpec) -> None:
        host = urlsplit(spec.token_endpoint or spec.issuer).hostname
        self._may_connect = address_filter(host, private_network=spec.private_network)

    def get_json(self, url: str) -> Mapping[str, Any]:
        status, body = self._call("GET", url, _HEADERS, None, DISCOVERY_SECONDS)
        if status != 200:
            raise ProviderUnavailable(f"status {status}")
        return _object(body)

    def post(
        self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: ClientAuth
    ) -> TokenResponse:
        """The interface of `requests.Session.post`, which Authlib's client calls."""
        sent = {**headers, **_HEADERS}  # a copy, because Authlib passes a shared module constant
        url, sent, form = auth.prepare("POST", url, sent, urlencode(data))
        status, body = self._call("POST", url, sent, form.encode(), EXCHANGE_SECONDS)
        if status != 200 and (status == 429 or not 400 <= status < 500):
            raise ProviderUnavailable(f"status {status}")
        members = _object(body) if status == 200 else {"error": _error_code(body)}
        if "error" in members:
            return TokenResponse({"error": _known_code(members["error"])})
        # Other members are not needed, and some crash Authlib, for example an `expires_in` that is not a
        # number.
        return TokenResponse({name: value for name, value in members.items() if name in _TOKEN_MEMBERS})

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
            raise ProviderUnavailable(str(refused)) from None
        except _HTTP_ERRORS as error:
            # The text of the error may contain a URL with a code.
            raise ProviderUnavailable(type(error).__name__) from None


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ProviderUnavailable("not JSON") from None
    if not isinstance(value, dict):
        raise ProviderUnavailable("not a JSON object")
    return value


def _error_code(body: bytes) -> object:
    try:
        return _object(body).get("error")
    except ProviderUnavailable:
        return None


def _known_code(code: object) -> str:
    return code if isinstance(code, str) and code in _ERROR_CODES else "refused"


@cache
def _tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
