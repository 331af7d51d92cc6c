"""Single rows in `blocks`, and their form in the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, and_, delete, select

from broker.identity.blocks import BlockKind, token_key
from broker.principal import principal_key
from broker.store.database.engine import Database
from broker.store.database.tables import blocks


def put(
    database: Database,
    connection: Connection,
    now: datetime,
    kind: BlockKind,
    issuer: str,
    subject: str,
    *,
    reason: str = "",
    issued_before: datetime | None = None,
    expires_at: datetime | None = None,
) -> Mapping[str, Any]:
    row = {
        "kind": kind,
        "value": _value(kind, issuer, subject),
        "issuer": issuer,
        "subject": subject,
        "issued_before": issued_before,
        "reason": reason,
        "created_at": now,
        "expires_at": expires_at,
    }
    # If two operators add the same block at once, the second finds it in place.
    connection.execute(database.insert_or_ignore(blocks), row)
    return _to_json(row)


def take(connection: Connection, kind: BlockKind, issuer: str, subject: str) -> Mapping[str, Any] | None:
    """Delete a block. Returns it, or None if there was none."""
    same = and_(blocks.c.kind == kind, blocks.c.value == _value(kind, issuer, subject))
    row = connection.execute(delete(blocks).where(same).returning(blocks)).one_or_none()
    return None if row is None else _to_json(row._asdict())


def signed_out_until(connection: Connection, kind: BlockKind, issuer: str, subject: str) -> datetime | None:
    """Until when a token is rejected because its holder signed out with it. Operators' blocks have no end."""
    return _time(connection, blocks.c.expires_at, kind, issuer, subject)


def issued_before(connection: Connection, issuer: str, subject: str) -> datetime | None:
    """The moment before which a principal's credentials are revoked."""
    return _time(connection, blocks.c.issued_before, BlockKind.ISSUED_BEFORE, issuer, subject)


def _time(
    connection: Connection, column: Column[Any], kind: BlockKind, issuer: str, subject: str
) -> datetime | None:
    same = and_(blocks.c.kind == kind, blocks.c.value == _value(kind, issuer, subject))
    found: datetime | None = connection.execute(select(column).where(same)).scalar_one_or_none()
    return found


def _to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: row[name] for name in ("created_at", "issued_before", "expires_at")}
    return {
        "kind": str(row["kind"]),
        **{name: at.isoformat(timespec="seconds") for name, at in times.items() if at is not None},
        **({"reason": row["reason"]} if row["reason"] else {}),
    }


def _value(kind: BlockKind, issuer: str, subject: str) -> str:
    """The value that a request is looked up by. Its length is bounded, however long a token id is."""
    if kind is BlockKind.ISSUER:
        return issuer
    return token_key(issuer, subject) if kind is BlockKind.TOKEN else principal_key(issuer, subject)
