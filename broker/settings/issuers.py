"""`[[issuers]]` of broker.toml: the external issuers whose tokens the broker accepts.

Owns the keys of one entry, their limits, and the faults that concern entries, plans and profiles together.
`identity.issuers` implements the behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from broker.net.addresses import address_filter, is_loopback
from broker.profiles.profile import Profile

ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# Users can write these themselves at Supabase, Auth0 and Clerk, so they never give permissions.
USER_WRITABLE = {"user_metadata", "raw_user_meta_data", "unsafe_metadata"}

LEEWAY_SECONDS = (0, 60)
LIFE_SECONDS = (60, 30 * 24 * 3600)


def name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", text):
        raise ValueError("must be 1 to 64 of a-z, 0-9, - and _, and begin with a letter or digit")
    return text


def https(text: str) -> str:
    match = re.fullmatch(r"(https?)://(\[[^\]]+\]|[^/:?#@\s]+)(:[0-9]+)?(/[^\s#]*)?", text)
    if not match or (match[1] == "http" and not is_loopback(match[2].strip("[]"))):
        raise ValueError("must be an https:// address")
    return text


def secret_name(text: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,39}", text):
        raise ValueError("must be the NAME in BROKER_OIDC_<NAME>_SECRET: A-Z, 0-9 and _")
    return text


def scope(text: str) -> str:
    if not re.fullmatch(r"[!#-\[\]-~]{1,255}", text):
        raise ValueError("must be one scope, without spaces")
    return text


def label(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable, without spaces at the start or end")
    return text


def general_name(algorithm: str) -> str:
    """RFC 9864 gives EdDSA a name for each curve."""
    return "EdDSA" if algorithm in {"Ed25519", "Ed448"} else algorithm


def general_names(algorithms: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(general_name, algorithms)))


def _list(value: Any) -> Any:
    """Turns a single value into a list with one item."""
    return value if isinstance(value, list | tuple) else (value,)


def claim_path(value: Any) -> Any:
    """The path of a claim: `a.b` goes into objects, a URL is one name, and a list gives each step."""
    if isinstance(value, str):
        return (value,) if "://" in value else tuple(value.split("."))
    return value


Name = Annotated[str, AfterValidator(name)]
Https = Annotated[str, Field(max_length=255), AfterValidator(https)]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_list), Field(strict=False)]
ClaimPath = Annotated[
    tuple[Text, ...], BeforeValidator(claim_path), Field(strict=False, min_length=1, max_length=8)
]
SecretName = Annotated[str, AfterValidator(secret_name)]
Scope = Annotated[str, AfterValidator(scope)]
Scopes = Annotated[tuple[Scope, ...], BeforeValidator(_list), Field(strict=False, max_length=20)]
Label = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(label)]
ClaimValues = Annotated[tuple[str | bool | int, ...], BeforeValidator(_list), Field(strict=False)]
RequiredClaims = Mapping[Text, ClaimValues]


class IssuerSpec(BaseModel):
    """One external issuer. Asymmetric keys only: with a shared secret, the broker could forge its tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name
    kind: Literal["oidc", "attestation"] = "oidc"
    mode: Literal["enforce", "audit"] = "enforce"
    issuer: Https
    audience: Texts = ()
    jwks_url: Https | None = None
    discover: bool = False
    private_network: bool = False
    algorithms: Annotated[
        tuple[str, ...], Field(strict=False, min_length=1), AfterValidator(general_names)
    ] = ("RS256",)
    typ: Texts = ()
    authorized_parties: Texts = ()
    required_claims: RequiredClaims = Field(default_factory=dict)
    bearer_claims: RequiredClaims = Field(default_factory=dict)
    id_token_claims: RequiredClaims = Field(default_factory=dict)
    subject_claim: ClaimPath = ("sub",)
    plan_claim: ClaimPath | None = None
    plans: Mapping[Text, Text] = Field(default_factory=dict)
    team_claim: ClaimPath | None = None
    operator_claim: ClaimPath | None = None
    operator_values: Texts = ()
    leeway_seconds: Annotated[int, Field(ge=LEEWAY_SECONDS[0], le=LEEWAY_SECONDS[1])] = 30
    max_life_seconds: Annotated[int, Field(ge=LIFE_SECONDS[0], le=LIFE_SECONDS[1])] = 24 * 3600
    max_age_seconds: Annotated[int, Field(ge=LIFE_SECONDS[0], le=LIFE_SECONDS[1])] | None = None
    # Sign-in in the browser, only with client_id.
    client_id: Text | None = None
    client_secret_env: SecretName | None = None
    scopes: Scopes = ("openid", "profile")
    authorization_endpoint: Https | None = None
    token_endpoint: Https | None = None
    label: Label | None = None

    @property
    def signs_in_browsers(self) -> bool:
        """Whether the page has a button for this issuer. An issuer on trial admits no one, so it has none."""
        return self.client_id is not None and self.mode == "enforce"


def cross_faults(
    issuers: Sequence[IssuerSpec], plans: Collection[str], profiles: Mapping[str, Profile]
) -> list[str]:
    faults = []
    for position, issuer in enumerate(issuers):
        earlier = issuers[:position]
        found = [*_own_faults(issuer), *_plan_faults(issuer, plans)]
        if any(other.name == issuer.name for other in earlier):
            found.append(f"name: {issuer.name!r} is already used")
        if any((other.kind, other.issuer) == (issuer.kind, issuer.issuer) for other in earlier):
            found.append("issuer: already has an entry; exactly one entry must apply to a token")
        faults += [f"broker.toml: issuers.{position}.{fault}" for fault in found]
    if not any(issuer.kind == "attestation" for issuer in issuers):
        faults += [
            f"broker.toml: profiles.{profile.name}.attestation: there is no issuer of kind attestation"
            for profile in profiles.values()
            if profile.attestation != "off"
        ]
    return faults


def _own_faults(issuer: IssuerSpec) -> list[str]:
    faults = []
    if any(algorithm not in ASYMMETRIC for algorithm in issuer.algorithms):
        faults.append("algorithms: only asymmetric algorithms are accepted")
    if (issuer.jwks_url is None) != issuer.discover:
        faults.append("jwks_url: set either this or discover = true")
    if not issuer.audience and not issuer.authorized_parties:
        faults.append("audience: is missing; it is optional only with authorized_parties")
    for key in ("jwks_url", "issuer", "token_endpoint"):
        host = urlsplit(getattr(issuer, key) or "").hostname
        if _is_private(host) and not issuer.private_network:
            faults.append(f"{key}: is a private address; private_network = true allows it")
    if (issuer.operator_claim is None) != (not issuer.operator_values):
        faults.append("operator_claim: must be set together with operator_values")
    faults += [
        f"{key}: is a claim that users can write themselves"
        for key in ("plan_claim", "team_claim", "operator_claim", "subject_claim")
        if USER_WRITABLE & set(getattr(issuer, key) or ())
    ]
    faults += [
        f"{key}: {claim!r} is in required_claims too"
        for key in ("bearer_claims", "id_token_claims")
        for claim in getattr(issuer, key)
        if claim in issuer.required_claims
    ]
    faults += _sign_in_faults(issuer)
    if issuer.kind == "attestation":
        about_users = (issuer.plan_claim, issuer.plans, issuer.team_claim, issuer.operator_claim)
        if any(about_users) or issuer.mode != "enforce":
            faults.append(
                "kind: an attestation gives no plan, team or role; the profiles decide whether it is enforced"
            )
    return faults


def _sign_in_faults(issuer: IssuerSpec) -> list[str]:
    given = issuer.model_fields_set
    faults = [
        f"{key}: needs client_id; without it nobody can sign in"
        for key in (
            "client_secret_env",
            "scopes",
            "authorization_endpoint",
            "token_endpoint",
            "label",
            "id_token_claims",
        )
        if key in given and issuer.client_id is None
    ]
    if issuer.client_id is not None and issuer.kind == "attestation":
        faults.append("client_id: an attestation identifies an app; nobody can sign in with it")
    if (issuer.authorization_endpoint is None) != (issuer.token_endpoint is None):
        faults.append("token_endpoint: must be set together with authorization_endpoint")
    if "openid" not in issuer.scopes:
        faults.append("scopes: must contain openid; without it there is no ID token")
    return faults


def _plan_faults(issuer: IssuerSpec, plans: Collection[str]) -> list[str]:
    if issuer.plans and issuer.plan_claim is None:
        return ["plans: needs plan_claim"]
    return [f"plans: there is no plan {plan!r}" for plan in issuer.plans.values() if plan not in plans]


def _is_private(host: str | None) -> bool:
    """Whether a literal address is private. Host names are checked when the broker connects."""
    try:
        return not (host is None or is_loopback(host) or address_filter(host, private_network=False)(host))
    except ValueError:
        return False
