"""An OpenID Connect client for one issuer, on Authlib: request a code, exchange it, verify the ID token.

The verifier of the issuer's bearer tokens also verifies the ID token, with our client id as the audience. The
checks of nonce, azp and at_hash then bind it to this flow and this client. Text from the provider never
reaches a caller or a log: a failure is one of a few outcomes, with our own reason.
"""

from __future__ import annotations

import hmac
import re
import threading
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

from authlib.common.errors import AuthlibBaseError
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core.claims import CodeIDToken, InvalidClaimError, MissingClaimError

from broker.errors import Refusal
from broker.identity import jws
from broker.identity.bearer import TokenVerifier, Verified
from broker.identity.oidc.errors import Outcome, SignInFailed
from broker.identity.oidc.flow import Flow
from broker.identity.oidc.provider import Endpoints, Provider, ProviderUnavailable
from broker.identity.oidc.session import ProviderSession

_CODE = re.compile(r"[!-~]{1,3000}")
# A provider that hangs must not hold every thread of the broker.
MAX_EXCHANGES = 4
_TEMPORARY_ERRORS = {"server_error", "temporarily_unavailable"}


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
        session: ProviderSession,
        lifetime: timedelta,
    ) -> None:
        """`lifetime` is how long a browser stays signed in."""
        self.name = name
        self.lifetime = lifetime
        self.label = label
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._provider = provider
        self._verifier = verifier
        self._session = session
        self._exchange_slots = threading.BoundedSemaphore(MAX_EXCHANGES)

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
        """Verifies the parameters that the browser brings back. Raises SignInFailed."""
        endpoints = self._endpoints()
        if not hmac.compare_digest(flow.state.encode(), answer.get("state", "").encode("utf-8", "replace")):
            raise SignInFailed(Outcome.EXPIRED, "state")
        issuer = answer.get("iss")
        if issuer != self._verifier.issuer and (issuer is not None or endpoints.sends_iss):
            raise SignInFailed(Outcome.UNKNOWN, "iss parameter")
        if "error" in answer:
            raise _provider_error(answer["error"])
        code = answer.get("code", "")
        if not _CODE.fullmatch(code):
            raise SignInFailed(Outcome.UNKNOWN, "no code")
        tokens = self._exchange(endpoints, flow, code, redirect_uri)
        return self._verify(flow, tokens)

    def _endpoints(self) -> Endpoints:
        try:
            return self._provider.endpoints()
        except ProviderUnavailable as error:
            raise SignInFailed(Outcome.UNAVAILABLE, f"discovery: {error}") from error

    def _exchange(self, endpoints: Endpoints, flow: Flow, code: str, redirect_uri: str) -> Mapping[str, Any]:
        client = self._client(endpoints, redirect_uri)
        if not self._exchange_slots.acquire(blocking=False):
            raise SignInFailed(Outcome.UNAVAILABLE, "too many sign-ins wait for the token endpoint")
        try:
            tokens: Mapping[str, Any] = client.fetch_token(
                endpoints.token,
                grant_type="authorization_code",
                code=code,
                code_verifier=flow.code_verifier,
            )
        except ProviderUnavailable as error:
            raise SignInFailed(Outcome.UNAVAILABLE, f"token endpoint: {error}") from None
        except AuthlibBaseError as error:
            raise SignInFailed(Outcome.UNKNOWN, f"token endpoint: {error.error}") from None
        finally:
            self._exchange_slots.release()
        return tokens

    def _verify(self, flow: Flow, tokens: Mapping[str, Any]) -> Verified:
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise SignInFailed(Outcome.UNKNOWN, "no tokens")
        try:
            unverified = jws.read(id_token, jws.MAX_ID_TOKEN_LENGTH)
            verified = self._verifier.verify(unverified)
        except Refusal as refusal:
            if refusal.code == "keys-unavailable":
                raise SignInFailed(Outcome.UNAVAILABLE, "ID token: keys unavailable") from refusal
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
        method = "client_secret_post" if endpoints.posts_secret else "client_secret_basic"
        client = OAuth2Client(
            self._session,
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method=method if self._client_secret else "none",
            scope=" ".join(self._scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        return client


def _provider_error(unverified_error: str) -> SignInFailed:
    if unverified_error == "access_denied":
        return SignInFailed(Outcome.CANCELLED, "access_denied")
    if unverified_error in _TEMPORARY_ERRORS:
        return SignInFailed(Outcome.UNAVAILABLE, unverified_error)
    return SignInFailed(Outcome.UNKNOWN, "the provider refused the sign-in")


def _basic(
    client: Any, _method: str, uri: str, headers: dict[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    """RFC 6749, section 2.3.1: each part is form-encoded first. Authlib's own method leaves that out."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return uri, {**headers, "Authorization": f"Basic {b64encode(pair.encode()).decode()}"}, body
