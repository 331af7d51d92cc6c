"""Our side of OpenID Connect with one issuer, on Authlib: ask for a code, exchange it, believe the ID token.

The ID token is verified by the same verifier as the issuer's bearers, with our client id as the audience;
on top come the checks that tie it to this flow and this client: nonce, azp and at_hash. Nothing that the
provider says reaches a caller or a log: a failure is one of a few outcomes with a reason in our own words.
"""

from __future__ import annotations

import hmac
import re
import threading
from base64 import b64encode
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote_plus

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core.claims import CodeIDToken, InvalidClaimError, MissingClaimError

from broker.errors import Refusal
from broker.identity import jws
from broker.identity.bearer import TokenVerifier, Verified
from broker.identity.oidc.flow import Flow
from broker.identity.oidc.provider import Configured, Discovered, Endpoints, Provider, ProviderDown
from broker.identity.oidc.wire import Wire
from broker.settings import IssuerSpec, Settings

_CODE = re.compile(r"[!-~]{1,3000}")
# A provider that hangs must not take all threads: the rest of the broker lives on them.
MAX_EXCHANGES = 4
_LATER = {"server_error", "temporarily_unavailable"}


class Outcome(StrEnum):
    """How a sign-in can fail, as the page tells it. Closed: the page has a sentence for each."""

    UNKNOWN = "sign-in-failed"
    CANCELLED = "sign-in-cancelled"
    EXPIRED = "sign-in-expired"
    UNAVAILABLE = "sign-in-unavailable"


class SignInFailed(Exception):  # noqa: N818 - what happened
    """`reason` is for the log, in our words."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class OidcClient:
    """One issuer at which browsers may sign in."""

    def __init__(
        self,
        *,
        name: str,
        label: str,
        client_id: str,
        client_secret: str | None,
        scopes: tuple[str, ...],
        provider: Provider,
        verifier: TokenVerifier,
        wire: Wire,
    ) -> None:
        self.name = name
        self.label = label
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._provider = provider
        self._verifier = verifier
        self._wire = wire
        self._places = threading.BoundedSemaphore(MAX_EXCHANGES)

    def authorization_url(self, flow: Flow, redirect_uri: str) -> str:
        endpoints = self._endpoints()
        url, _state = self._client(endpoints, redirect_uri).create_authorization_url(
            endpoints.authorization,
            state=flow.state,
            code_verifier=flow.code_verifier,
            nonce=flow.nonce,
        )
        return str(url)

    def finish(self, flow: Flow, answer: Mapping[str, str], redirect_uri: str) -> Verified:
        """From the parameters that the browser brought back to who it is. Raises SignInFailed."""
        endpoints = self._endpoints()
        if not hmac.compare_digest(flow.state.encode(), answer.get("state", "").encode("utf-8", "replace")):
            raise SignInFailed(Outcome.EXPIRED, "state")
        issuer = answer.get("iss")
        if issuer != self._verifier.issuer and (issuer is not None or endpoints.names_itself):
            raise SignInFailed(Outcome.UNKNOWN, "iss parameter")
        if "error" in answer:
            raise _said_no(answer["error"])
        code = answer.get("code", "")
        if not _CODE.fullmatch(code):
            raise SignInFailed(Outcome.UNKNOWN, "no code")
        tokens = self._exchange(endpoints, flow, code, redirect_uri)
        return self._believe(flow, tokens)

    def _endpoints(self) -> Endpoints:
        try:
            return self._provider.endpoints()
        except ProviderDown as down:
            raise SignInFailed(Outcome.UNAVAILABLE, f"discovery: {down}") from down

    def _exchange(self, endpoints: Endpoints, flow: Flow, code: str, redirect_uri: str) -> Mapping[str, Any]:
        client = self._client(endpoints, redirect_uri)
        if not self._places.acquire(blocking=False):
            raise SignInFailed(Outcome.UNAVAILABLE, "too many sign-ins wait for the token endpoint")
        try:
            tokens: Mapping[str, Any] = client.fetch_token(
                endpoints.token,
                grant_type="authorization_code",
                code=code,
                code_verifier=flow.code_verifier,
            )
        except ProviderDown as down:
            raise SignInFailed(Outcome.UNAVAILABLE, f"token endpoint: {down}") from None
        except AuthlibBaseError as error:
            raise SignInFailed(Outcome.UNKNOWN, f"token endpoint: {error.error}") from None
        finally:
            self._places.release()
        return tokens

    def _believe(self, flow: Flow, tokens: Mapping[str, Any]) -> Verified:
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise SignInFailed(Outcome.UNKNOWN, "no tokens")
        try:
            unverified = jws.read(id_token)
            verified = self._verifier.verify(unverified)
        except Refusal as refusal:
            if refusal.code == "keys-unavailable":
                raise SignInFailed(Outcome.UNAVAILABLE, "ID token: keys") from refusal
            raise SignInFailed(Outcome.UNKNOWN, f"ID token: {refusal.reason or refusal.code}") from refusal
        expected = {"nonce": flow.nonce, "client_id": self._client_id, "access_token": access_token}
        claims = CodeIDToken(unverified.claims, unverified.header, params=expected)
        try:
            claims.validate_nonce()
            claims.validate_azp()
            claims.validate_at_hash()
        except (InvalidClaimError, MissingClaimError, TypeError, ValueError) as error:
            raise SignInFailed(Outcome.UNKNOWN, f"ID token: {type(error).__name__}") from None
        return verified

    def _client(self, endpoints: Endpoints, redirect_uri: str) -> OAuth2Client:
        method = "client_secret_post" if endpoints.secret_in_body else "client_secret_basic"
        client = OAuth2Client(
            self._wire,
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method=method if self._client_secret else "none",
            scope=" ".join(self._scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        return client


def oidc_clients(settings: Settings, id_tokens: Mapping[str, TokenVerifier]) -> dict[str, OidcClient]:
    """By name, in the order of the file: a client for each issuer that has a verifier of its ID tokens."""
    clients = {}
    for spec in settings.config.issuers:
        if spec.name in id_tokens:
            secret = settings.client_secrets.get(spec.name)
            shown = secret.get_secret_value() if secret else None
            clients[spec.name] = _client(spec, id_tokens[spec.name], shown)
    return clients


def _client(spec: IssuerSpec, verifier: TokenVerifier, client_secret: str | None) -> OidcClient:
    assert spec.client_id is not None
    wire = Wire(spec)
    provider: Provider = Discovered(spec.issuer, wire.get_json)
    if spec.authorization_endpoint and spec.token_endpoint:
        provider = Configured(Endpoints(spec.authorization_endpoint, spec.token_endpoint))
    return OidcClient(
        name=spec.name,
        label=spec.label or spec.name.capitalize(),
        client_id=spec.client_id,
        client_secret=client_secret,
        scopes=spec.scopes,
        provider=provider,
        verifier=verifier,
        wire=wire,
    )


def _said_no(unverified_error: str) -> SignInFailed:
    if unverified_error == "access_denied":
        return SignInFailed(Outcome.CANCELLED, "access_denied")
    if unverified_error in _LATER:
        return SignInFailed(Outcome.UNAVAILABLE, unverified_error)
    return SignInFailed(Outcome.UNKNOWN, "the provider refused")


def _basic(
    client: Any, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """RFC 6749, section 2.3.1: each part is form-encoded first, which Authlib's own leaves out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return uri, {**headers, "Authorization": f"Basic {b64encode(pair.encode()).decode()}"}, body
