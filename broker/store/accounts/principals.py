"""Rows in `principals`: reservations lock them, and operators' lists start from them."""

from __future__ import annotations

from sqlalchemy import Connection

from broker.principal import principal_key
from broker.store.database.engine import Database
from broker.store.database.tables import principals


def ensure_principal(database: Database, connection: Connection, issuer: str, subject: str) -> None:
    """Insert the principal's row unless it exists."""
    row = {"key": principal_key(issuer, subject), "issuer": issuer, "subject": subject}
    connection.execute(database.insert_or_ignore(principals), row)
