"""Who is known: the rows in `principals`, which a reservation locks and operators look through."""

from __future__ import annotations

from sqlalchemy import Connection

from broker.principal import principal_key
from broker.store.database.engine import Database
from broker.store.database.tables import principals


def know(database: Database, connection: Connection, issuer: str, subject: str) -> None:
    """From now on there is such a principal, if there was none."""
    row = {"key": principal_key(issuer, subject), "issuer": issuer, "subject": subject}
    connection.execute(database.insert_or_ignore(principals), row)
