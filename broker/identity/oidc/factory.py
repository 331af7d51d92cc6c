"""Builds an OidcClient for each issuer at which browsers may sign in."""

from __future__ import annotations

from collections.abc import Mapping

from broker.identity.bearer import TokenVerifier
from broker.identity.oidc.client import OidcClient
from broker.identity.oidc.provider import ConfiguredProvider, DiscoveredProvider, Endpoints, Provider
from broker.identity.oidc.session import ProviderSession
from broker.identity.sign_ins import LIFETIME, RIGHTS_LIFETIME
from broker.settings import IssuerSpec, Settings


def oidc_clients(settings: Settings, id_tokens: Mapping[str, TokenVerifier]) -> dict[str, OidcClient]:
    """Issuer name -> client, in the order of the file, for each issuer with a verifier for ID tokens."""
    clients = {}
    for spec in settings.config.issuers:
        if spec.name in id_tokens:
            secret = settings.client_secrets.get(spec.name)
            secret_text = secret.get_secret_value() if secret else None
            clients[spec.name] = _client(spec, id_tokens[spec.name], secret_text)
    return clients


def _client(spec: IssuerSpec, verifier: TokenVerifier, client_secret: str | None) -> OidcClient:
    assert spec.client_id is not None
    session = ProviderSession(spec)
    provider: Provider = DiscoveredProvider(spec.issuer, session.get_json)
    if spec.authorization_endpoint and spec.token_endpoint:
        provider = ConfiguredProvider(Endpoints(spec.authorization_endpoint, spec.token_endpoint))
    return OidcClient(
        name=spec.name,
        label=spec.label or spec.name.capitalize(),
        client_id=spec.client_id,
        client_secret=client_secret,
        scopes=spec.scopes,
        provider=provider,
        verifier=verifier,
        session=session,
        lifetime=RIGHTS_LIFETIME if spec.plan_claim or spec.team_claim or spec.operator_claim else LIFETIME,
    )
