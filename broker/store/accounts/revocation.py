"""What a block, a password change and a sign-out everywhere take with them, in their own transaction."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, or_, select

from broker.principal import principal_key
from broker.sessions.session import TokenState
from broker.store.database.tables import sessions, sign_ins, tokens


def end_sign_ins(connection: Connection, issuer: str, subject: str) -> int:
    """The browser logins of (issuer, subject). Those still held find no record at their next request.

    Returns how many there were.
    """
    of_principal = (sign_ins.c.issuer == issuer, sign_ins.c.subject == subject)
    return connection.execute(delete(sign_ins).where(*of_principal)).rowcount


def honoured_until(connection: Connection, issuer: str, subject: str, now: datetime) -> datetime | None:
    """Until when Google may still let in what (issuer, subject) was given; None if that is over."""
    key = principal_key(issuer, subject)
    latest: datetime | None = connection.execute(
        select(func.max(tokens.c.expires_at))
        .join(sessions, sessions.c.id == tokens.c.session_id)
        .where(
            or_(sessions.c.principal_key == key, sessions.c.acting_key == key),
            tokens.c.state == TokenState.ISSUED,
        )
    ).scalar_one()
    return latest if latest is not None and latest > now else None
