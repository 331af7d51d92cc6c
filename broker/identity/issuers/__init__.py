"""External issuers: whose tokens are believed, as `[[issuers]]` says.

Owns everything between an entry in the settings and a verifier: keys (`fetch`, `keys`, `jwks`), the
token's own terms (`external`, `values`), issuers on trial (`audited`) and attestation. Needs
`identity.bearer` and the settings' types. Leaves the routing of tokens to `identity.bearer`, which knows
nothing of how one is verified.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from broker.identity.bearer import TokenVerifier
from broker.identity.issuers.attestation import Admit, Attestations
from broker.identity.issuers.external import ExternalIssuer
from broker.identity.issuers.fetch import load
from broker.identity.issuers.key_cache import KeyCache
from broker.identity.issuers.trial import Trail, TrialIssuer
from broker.settings import IssuerSpec


@dataclass(frozen=True)
class Issuers:
    verifiers: Sequence[TokenVerifier]
    """Of bearers."""
    id_tokens: Mapping[str, TokenVerifier]
    """By the issuer's name: of the ID tokens that a sign-in in the browser brings."""
    attestations: Attestations


def build(specs: Iterable[IssuerSpec], plans: Collection[str], trail: Trail, admit: Admit) -> Issuers:
    """A verifier for each entry. The keys begin to load at once, in threads of their own."""
    bearers: list[TokenVerifier] = []
    attesters: list[TokenVerifier] = []
    id_tokens: dict[str, TokenVerifier] = {}
    for spec in specs:
        cache = KeyCache(spec.name, partial(load, spec))
        cache.prefetch()
        verifier = ExternalIssuer(spec, cache, plans)
        if spec.kind == "attestation":
            attesters.append(verifier)
        else:
            bearers.append(TrialIssuer(verifier, trail) if spec.mode == "audit" else verifier)
        if spec.signs_in_browsers:
            id_tokens[spec.name] = ExternalIssuer(_for_id_tokens(spec), cache, plans)
    return Issuers(bearers, id_tokens, Attestations(attesters, admit))


def _for_id_tokens(spec: IssuerSpec) -> IssuerSpec:
    """The same issuer, keys and claims; but an ID token is made out to our client, and is no access token."""
    return spec.model_copy(update={"audience": (spec.client_id,), "authorized_parties": (), "typ": ()})
