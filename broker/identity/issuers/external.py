"""Verifies the tokens of one external issuer, by the rules in the settings.

The header only selects among the configured keys and algorithms, with `kid` and `alg`. A token whose header
could name a key in another way is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
from jwt.algorithms import OKPAlgorithm

from broker.identity import jws
from broker.identity.bearer import Verified
from broker.identity.claims import check_clock, check_subject, check_times, check_token_id
from broker.identity.issuers.claim_paths import find, matches, texts
from broker.identity.issuers.jwks import MAX_KID_LENGTH
from broker.identity.issuers.key_cache import KeyCache
from broker.identity.jws import UnverifiedToken
from broker.principal import OPERATOR, TEAM_NAME, Principal, is_readable, team_named
from broker.settings import IssuerSpec
from broker.settings.issuers import claim_path, general_name

_REFUSED_HEADERS = {"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc", "cty"}
_jws = jwt.PyJWS()
for _name in ("Ed25519", "Ed448"):
    _jws.register_algorithm(_name, OKPAlgorithm())


class ExternalIssuer:
    """`plans`: the existing plans; an issuer cannot create another. `now` is for tests."""

    def __init__(
        self,
        spec: IssuerSpec,
        keys: KeyCache,
        plans: Collection[str],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._spec = spec
        self._keys = keys
        # If the entry maps no plans, the claim must contain the name of a plan.
        self._plans = dict(spec.plans) or {plan: plan for plan in plans}
        self._required = [(claim_path(path), wanted) for path, wanted in spec.required_claims.items()]
        self._now = now

    @property
    def issuer(self) -> str:
        return self._spec.issuer

    @property
    def name(self) -> str:
        return self._spec.name

    def verify(self, unverified: UnverifiedToken) -> Verified:
        self.check_signature(unverified)
        return self.check_claims(unverified.claims)

    def check_signature(self, unverified: UnverifiedToken) -> None:
        header = unverified.header
        algorithm, kid = header.get("alg"), header.get("kid")
        if _REFUSED_HEADERS & header.keys() or not isinstance(algorithm, str):
            raise jws.invalid("header")
        if general_name(algorithm) not in self._spec.algorithms:
            raise jws.invalid("alg")
        self._check_type(header)
        if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_LENGTH:
            raise jws.invalid("kid")
        key = self._keys.key(kid)
        if not key.serves(algorithm):
            raise jws.invalid("alg does not fit the key")
        try:
            _jws.decode(unverified.text, key.key, algorithms=[algorithm])
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise jws.invalid(type(error).__name__) from error

    def check_claims(self, claims: Mapping[str, Any]) -> Verified:
        """Checks the claims after the signature.

        Expiry is checked last, so it is reported only for a valid token.
        """
        spec = self._spec
        if claims.get("iss") != spec.issuer:
            raise jws.invalid("iss")
        self._check_audience(claims)
        self._check_parties(claims)
        for path, wanted in self._required:
            if not matches(find(claims, path), wanted):
                raise jws.invalid(f"required claim {'.'.join(path)}")
        subject = check_subject(find(claims, spec.subject_claim))
        token_id = check_token_id(claims.get("jti"))
        check_times(claims, spec.max_life_seconds)
        check_clock(claims, self._now(), spec.leeway_seconds, spec.max_age_seconds)
        issued_at = datetime.fromtimestamp(claims["iat"], UTC)
        return Verified(self._principal(subject, claims), issued_at, token_id)

    def _check_type(self, header: Mapping[str, Any]) -> None:
        typ = header.get("typ", "JWT" if not self._spec.typ else None)
        if not isinstance(typ, str):
            raise jws.invalid("typ")
        # RFC 7515, section 4.1.9: a media type, so ignore case and the prefix "application/".
        if typ.lower().removeprefix("application/") not in {t.lower() for t in self._spec.typ or ("JWT",)}:
            raise jws.invalid("typ")

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        """If the settings name no audience, the token must have none: otherwise it is for another service."""
        if not self._spec.audience:
            if "aud" in claims:
                raise jws.invalid("aud")
            return
        audience = claims.get("aud")
        values = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(value, str) for value in values) or not set(values) & set(self._spec.audience):
            raise jws.invalid("aud")

    def _check_parties(self, claims: Mapping[str, Any]) -> None:
        if not self._spec.authorized_parties:
            return
        parties = [claims[name] for name in ("azp", "client_id") if name in claims]
        if not parties or any(party not in self._spec.authorized_parties for party in parties):
            raise jws.invalid("azp")

    def _principal(self, subject: str, claims: Mapping[str, Any]) -> Principal:
        name = claims.get("name")
        is_displayable = (
            isinstance(name, str) and len(name) <= 255 and name.strip() != "" and is_readable(name)
        )
        return Principal(
            self._spec.issuer,
            subject,
            str(name) if is_displayable else subject,
            self._plan(claims),
            self._roles(claims),
            team=team_named(self._team(claims)),
        )

    def _plan(self, claims: Mapping[str, Any]) -> str:
        values = texts(find(claims, self._spec.plan_claim)) if self._spec.plan_claim else frozenset()
        return next((plan for value, plan in self._plans.items() if value in values), "default")

    def _team(self, claims: Mapping[str, Any]) -> str | None:
        """A value that cannot be the name of a team is refused: its limits would not hold."""
        value = find(claims, self._spec.team_claim) if self._spec.team_claim else None
        if value is None:
            return None
        names = texts(value)
        name = next(iter(names)) if len(names) == 1 else ""
        if TEAM_NAME.fullmatch(name) is None:
            raise jws.invalid("team claim")
        return name

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[str]:
        if self._spec.operator_claim is None:
            return frozenset()
        values = texts(find(claims, self._spec.operator_claim))
        return frozenset({OPERATOR}) if values & set(self._spec.operator_values) else frozenset()
