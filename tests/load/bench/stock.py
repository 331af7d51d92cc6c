"""Fills a database for the benchmark: its callers, and sessions that other people hold open."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Table, insert, text

from broker.identity.signing import KeyRing, issue_access_token
from broker.settings import Settings
from broker.store.database.engine import Database
from broker.store.database.tables import places, principals, sessions, tokens, users
from broker.store.ledger.day_sums import date_of
from tests.support.servers import own_principal

_GENERATION = "0" * 32
_AT_ONCE = 5000


def bearers(settings: Settings, number: int) -> list[str]:
    """Bearers of the callers, valid for an hour at each broker that has the same secret."""
    key = KeyRing.of(settings.secret_keys, *settings.signing_keys).signs
    return [issue_access_token(key, f"caller{one}", _GENERATION) for one in range(number)]


def stock(database: Database, *, callers: int, open_sessions: int = 0) -> None:
    """Each other person has two of the sessions, which stay open for an hour."""
    others = [own_principal(f"other{one}") for one in range(open_sessions // 2)]
    known = [own_principal(f"caller{one}") for one in range(callers)] + others
    with database.write() as connection:
        now = database.now(connection)
        users_of = (
            {
                "username": f"caller{one}", "password_hash": "", "plan": "default",
                "generation": _GENERATION, "password_changed_at": now, "created_at": now,
            }
            for one in range(callers)
        )  # fmt: skip
        rows = ({"key": one.key, "issuer": one.issuer, "subject": one.subject} for one in known)
        _insert(connection, users, users_of)
        _insert(connection, principals, rows)
        until = now + timedelta(hours=1)
        held = [_session(one.key, until) for one in others for _ in range(2)]
        _insert(connection, sessions, iter(held))
        _insert(connection, tokens, (_token(session) for session in held))
        # As after a caller's first token of the day: the first one counts its rows.
        today = date_of(now)
        counts = [(f"caller{one}", 0) for one in range(callers)]
        counts += [(one.subject, 2) for one in others]
        _insert(
            connection,
            places,
            (
                {"owner": own_principal(name).key, "plan": "", "taken": taken, "recounted_on": today}
                for name, taken in counts
            ),
        )
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _insert(connection: Connection, table: Table, rows: Iterator[Mapping[str, Any]]) -> None:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _AT_ONCE:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


def _session(principal_key: str, until: Any) -> dict[str, Any]:
    return {
        "id": f"ses_{secrets.token_hex(16)}", "principal_key": principal_key, "plan": "default",
        "profile": "default", "model": "models/gemini-3.8-live",
        "client": {"app": "demo", "version": "0.1.0", "platform": "Chrome on Linux"},
        "state": "open", "opened_at": until - timedelta(minutes=30),
        "ends_at": until, "held_until": until, "heartbeat_at": until - timedelta(minutes=20),
        "counted": True,
    }  # fmt: skip


def _token(session: Mapping[str, Any]) -> dict[str, Any]:
    at = session["opened_at"]
    return {
        "id": f"tok_{secrets.token_hex(16)}", "session_id": session["id"],
        "principal_key": session["principal_key"], "state": "issued",
        "token_sha256": secrets.token_hex(32), "reserved_at": at, "connect_by": at + timedelta(minutes=2),
        "expires_at": session["ends_at"], "covers_from": at, "seconds": 900, "forgiven": 0, "mint_ms": 150,
    }  # fmt: skip
