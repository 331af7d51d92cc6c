"""External issuers: the issuers in `[[issuers]]` whose tokens the broker accepts.

Builds a verifier from each entry: keys (`fetch`, `jwks`, `key_cache`), claims (`external`, `claim_paths`),
issuers on trial (`trial`) and attestation. Needs `identity.bearer` and the types of the settings.
`identity.bearer` chooses the verifier for a token and does not know how it works.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from broker.identity.bearer import TokenVerifier
from broker.identity.issuers.attestation import Admit, Attestations
from broker.identity.issuers.claim_paths import SCOPES
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.issuers.fetch import load
from broker.identity.issuers.key_cache import KeyCache
from broker.identity.issuers.trial import AuditTrail, TrialIssuer
from broker.settings import IssuerSpec


@dataclass(frozen=True)
class Issuers:
    verifiers: Sequence[TokenVerifier]
    """The verifiers of bearer tokens."""
    id_tokens: Mapping[str, TokenVerifier]
    """Issuer name -> the verifier of its ID tokens, for sign-in in the browser."""
    attestations: Attestations


def build(specs: Iterable[IssuerSpec], plans: Collection[str], audit: AuditTrail, admit: Admit) -> Issuers:
    """Builds a verifier for each entry. The keys start to load at once, in separate threads."""
    bearers: list[TokenVerifier] = []
    attesters: list[TokenVerifier] = []
    id_tokens: dict[str, TokenVerifier] = {}
    for spec in specs:
        cache = KeyCache(spec.name, partial(load, spec))
        cache.prefetch()
        verifier = ExternalIssuer(_for_bearers(spec), cache, plans)
        if spec.kind == "attestation":
            attesters.append(verifier)
        else:
            bearers.append(TrialIssuer(verifier, audit) if spec.mode == "audit" else verifier)
        if spec.signs_in_browsers:
            id_tokens[spec.name] = ExternalIssuer(_for_id_tokens(spec), cache, plans)
    return Issuers(bearers, id_tokens, Attestations(attesters, admit))


def _for_bearers(spec: IssuerSpec) -> IssuerSpec:
    return spec.model_copy(update={"required_claims": {**spec.required_claims, **spec.bearer_claims}})


def _for_id_tokens(spec: IssuerSpec) -> IssuerSpec:
    """The same issuer, keys and claims, but with the rules for ID tokens: our client id is the audience.

    Scopes are rights of an access token, so an ID token has none.
    """
    required = {path: wanted for path, wanted in spec.required_claims.items() if path not in SCOPES}
    return spec.model_copy(
        update={
            "audience": (spec.client_id,),
            "authorized_parties": (),
            "typ": (),
            "required_claims": {**required, **spec.id_token_claims},
        }
    )
