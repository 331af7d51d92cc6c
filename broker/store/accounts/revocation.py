"""Revocation: which credentials become invalid, and how. Every change that revokes one calls this module.

                       own user                             principal of another issuer
    block              bearers and sign-ins                 bearers and sign-ins, by the block itself
    unblock            deletes the sign-ins that were left  bearers and sign-ins (service keys: nothing)
    new password       bearers and sign-ins                 has no password here
    sign-out           bearers and sign-ins                 bearers and sign-ins

An own user's bearers and sign-ins carry the user's generation, so a new generation revokes them all at once.
Other issuers' credentials carry only their time of issue, so a row in `blocks` revokes those issued before
it. A block leaves the rows of the sign-ins, so that open pages learn why they are rejected.

Google revokes nothing: tokens that it issued stay valid until they expire. `honoured_until` reports that
time.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select, update

from broker.identity.blocks import BlockKind
from broker.principal import OWN_ISSUER, principal_key
from broker.sessions.session import TokenState
from broker.store.accounts import block_rows
from broker.store.database.engine import Database
from broker.store.database.tables import sessions, sign_ins, tokens, users


def new_generation() -> str:
    return secrets.token_hex(8)


def revoke_but_keep_sign_ins(connection: Connection, username: str) -> None:
    """For a block: nothing of the user's is accepted, and the pages' sign-ins are still found."""
    changed = update(users).where(users.c.username == username).values(generation=new_generation())
    connection.execute(changed)


def revoke_all(connection: Connection, username: str) -> int:
    """For a new password or a sign-out everywhere. Returns how many browsers were signed in."""
    revoke_but_keep_sign_ins(connection, username)
    return end_sign_ins(connection, OWN_ISSUER, username)


def revoke_issued_before(
    database: Database, connection: Connection, now: datetime, issuer: str, subject: str
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """Revoke what another issuer's principal was given before `now`.

    Returns the earlier row of this kind, if there is one, and the new one. An earlier row with a later moment
    keeps it: clocks can be set back, and nothing that was revoked comes back.
    """
    end_sign_ins(connection, issuer, subject)
    moment = max(now, block_rows.issued_before(connection, issuer, subject) or now)
    before = block_rows.take(connection, BlockKind.ISSUED_BEFORE, issuer, subject)
    after = block_rows.put(
        database, connection, now, BlockKind.ISSUED_BEFORE, issuer, subject, issued_before=moment
    )
    return before, after


def end_sign_ins(connection: Connection, issuer: str, subject: str) -> int:
    """Delete the browser sign-ins of a principal. Returns how many there were."""
    of_principal = (sign_ins.c.issuer == issuer, sign_ins.c.subject == subject)
    return connection.execute(delete(sign_ins).where(*of_principal)).rowcount


def honoured_until(connection: Connection, issuer: str, subject: str, now: datetime) -> datetime | None:
    """When the last token of a principal expires at Google; None if no token is still valid.

    A token that is being minted counts, because it may be on its way. After `connect_by` it is not delivered.
    """
    key = principal_key(issuer, subject)
    latest: datetime | None = connection.execute(
        select(func.max(tokens.c.expires_at))
        .join(sessions, sessions.c.id == tokens.c.session_id)
        .where(
            or_(sessions.c.principal_key == key, sessions.c.acting_key == key),
            or_(
                tokens.c.state == TokenState.ISSUED,
                and_(tokens.c.state == TokenState.RESERVED, tokens.c.connect_by > now),
            ),
        )
    ).scalar_one()
    return latest if latest is not None and latest > now else None
