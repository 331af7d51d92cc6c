"""Attestation: checks that a request comes from a genuine app, in addition to the credential.

The token (a Firebase App Check JWT) identifies an app, not a user. Each profile says whether it is required.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from broker.errors import Refusal
from broker.identity import jws
from broker.identity.bearer import Bearers, TokenVerifier, Verified
from broker.principal import Principal
from broker.profiles.profile import Profile

HEADER = "X-Firebase-AppCheck"
Admit = Callable[[Verified], Principal]
_log = structlog.get_logger("broker.identity")


class Attestations:
    def __init__(self, verifiers: Iterable[TokenVerifier], admit: Admit) -> None:
        """`admit` refuses blocked apps, issuers and tokens."""
        self._tokens = Bearers(verifiers)
        self._admit = admit

    def check(self, profile: Profile, unverified_token: str | None) -> None:
        """Where the profile enforces attestation, refuses `forbidden` without a valid token.

        Refuses `keys-unavailable` if the token cannot be checked.
        """
        if profile.attestation == "off":
            return
        try:
            app = self._app(unverified_token)
        except Refusal as refusal:
            self._refused(profile, refusal)
        else:
            _log.info("attestation_passed", profile=profile.name, app=app)

    def _app(self, unverified_token: str | None) -> str:
        if unverified_token is None:
            raise jws.invalid("no attestation token")
        return self._admit(self._tokens.verify(unverified_token)).subject

    def _refused(self, profile: Profile, refusal: Refusal) -> None:
        enforced = profile.attestation == "enforce"
        _log.warning(
            "attestation_failed",
            profile=profile.name,
            enforced=enforced,
            code=refusal.code,
            reason=refusal.reason,
        )
        if not enforced:
            return
        if refusal.status == 503:
            raise refusal
        raise Refusal(
            "forbidden",
            f"This profile is for the genuine app only: {HEADER} must hold a valid App Check token.",
            reason=f"attestation: {refusal.reason or refusal.code}",
        ) from refusal
