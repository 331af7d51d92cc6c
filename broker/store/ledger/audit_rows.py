"""Writes the ledger's rows of the audit trail, each in the transaction of what it records."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from broker.minting.minter import MintedToken
from broker.principal import Principal
from broker.store import audit


def record(
    connection: Connection,
    at: datetime,
    principal: Principal,
    action: str,
    outcome: str,
    session_id: str | None,
    token: MintedToken | None = None,
) -> None:
    actor, detail = named(principal)
    audit.record(
        connection,
        at,
        actor=actor,
        action=action,
        outcome=outcome,
        session_id=session_id,
        token_sha256=token.sha256 if token else None,
        detail=detail,
    )


def named(principal: Principal) -> tuple[str, dict[str, str] | None]:
    """(actor, detail) in the audit trail. A service key that acts is the actor; its user is in the detail."""
    requester = principal.requester
    detail = {"on_behalf_of": principal.subject} if principal.actor else {}
    if principal.team is not None:
        detail["team"] = principal.team.subject
    return f"{requester.issuer}:{requester.subject}", detail or None
