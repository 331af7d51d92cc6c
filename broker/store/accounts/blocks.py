"""SqlBlocks: adds, lifts and lists blocks of principals, tokens and issuers. Each change has its audit row.

Blocks of own users are in `users`. Requests read blocks through `standing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, literal, not_, select, tuple_

from broker.identity.blocks import BlockKind
from broker.principal import OWN_ISSUER
from broker.store import audit
from broker.store.accounts import block_rows
from broker.store.accounts.principals import ensure_principal
from broker.store.accounts.revocation import honoured_until, revoke_issued_before
from broker.store.database.engine import Database
from broker.store.database.tables import blocks, principals, sign_ins

# Own users are blocked in `users`. Here they leave a row for a while after they are removed.
_IN_FORCE = not_(and_(blocks.c.kind == BlockKind.PRINCIPAL, blocks.c.issuer == OWN_ISSUER))


@dataclass(frozen=True)
class BlockRow:
    """A block as operators see it. `subject` is the subject, the token's id, or empty for a whole issuer."""

    kind: BlockKind
    issuer: str
    subject: str
    created_at: datetime
    issued_before: datetime | None
    reason: str
    value: str
    """Together with `kind`, its position in the list."""


class SignedOut(Exception):  # noqa: N818 - reads as what it says
    """The holder of the token has signed out with it. No one can undo that."""


class SqlBlocks:
    def __init__(self, database: Database) -> None:
        self._database = database

    def block(
        self,
        kind: BlockKind,
        issuer: str,
        subject: str = "",
        *,
        actor: str,
        reason: str = "",
        expires_at: datetime | None = None,
    ) -> None:
        """After `expires_at` the blocked token is no longer valid anyway, and the block may be deleted.

        Until it is deleted the block applies, so that no request has to compare times.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            self._replace(connection, now, kind, issuer, subject, actor, reason, expires_at)

    def block_principal(self, issuer: str, subject: str, *, actor: str, reason: str = "") -> datetime | None:
        """Returns when the principal's last token expires at Google; None if no token is still valid.

        Sign-ins stay until the block is lifted, so that open pages learn why they are rejected.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            ensure_principal(self._database, connection, issuer, subject)
            self._replace(connection, now, BlockKind.PRINCIPAL, issuer, subject, actor, reason)
            return honoured_until(connection, issuer, subject, now)

    def revoke_before_now(self, issuer: str, subject: str, *, actor: str) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            before, after = revoke_issued_before(self._database, connection, now, issuer, subject)
            _record(
                connection, now, f"block.{BlockKind.ISSUED_BEFORE}", actor, issuer, subject, before, after
            )

    def lift(
        self, kind: BlockKind, issuer: str, subject: str = "", *, actor: str, restores: bool = True
    ) -> bool:
        """Returns whether there was such a block. Unless `restores`, existing credentials stay revoked.

        Raises SignedOut for a token that its holder signed out with.
        """
        with self._database.write() as connection:
            if block_rows.signed_out_until(connection, kind, issuer, subject) is not None:
                raise SignedOut
            before = block_rows.take(connection, kind, issuer, subject)
            if before is None:
                return False
            now = self._database.now(connection)
            after: Mapping[str, Any] | None = None
            if not restores:
                _, after = revoke_issued_before(self._database, connection, now, issuer, subject)
            _record(connection, now, f"unblock.{kind}", actor, issuer, subject, before, after)
        return True

    def has_seen(self, issuer: str) -> bool:
        """Whether any principal of `issuer` has ever been admitted."""
        seen = [
            select(table.c.issuer).where(table.c.issuer == issuer).limit(1)
            for table in (principals, sign_ins)
        ]
        with self._database.read() as connection:
            return any(connection.execute(query).one_or_none() for query in seen)

    def page(self, *, after: tuple[str, str] | None = None, limit: int | None = None) -> list[BlockRow]:
        """Blocks in the order of (kind, value), starting after `after`."""
        query = select(blocks).where(_IN_FORCE).order_by(blocks.c.kind, blocks.c.value).limit(limit)
        if after is not None:
            query = query.where(tuple_(blocks.c.kind, blocks.c.value) > tuple_(*map(literal, after)))
        with self._database.read() as connection:
            return [_block_row(row) for row in connection.execute(query)]

    def _replace(
        self,
        connection: Connection,
        now: datetime,
        kind: BlockKind,
        issuer: str,
        subject: str,
        actor: str,
        reason: str,
        expires_at: datetime | None = None,
    ) -> None:
        """Put a block in place of an earlier one for the same, and delete the blocks that have expired.

        A sign-out stays one, so that lifting an operator's block does not undo it.
        """
        expires_at = expires_at or block_rows.signed_out_until(connection, kind, issuer, subject)
        before = block_rows.take(connection, kind, issuer, subject)
        connection.execute(delete(blocks).where(blocks.c.expires_at < now))
        after = block_rows.put(
            self._database, connection, now, kind, issuer, subject, reason=reason, expires_at=expires_at
        )
        _record(connection, now, f"block.{kind}", actor, issuer, subject, before, after)


def _record(
    connection: Connection,
    now: datetime,
    action: str,
    actor: str,
    issuer: str,
    subject: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> None:
    audit.record_change(
        connection,
        now,
        actor=actor,
        action=action,
        issuer=issuer,
        subject=subject,
        before=before,
        after=after,
    )


def _block_row(row: Row[Any]) -> BlockRow:
    return BlockRow(
        BlockKind(row.kind), row.issuer, row.subject, row.created_at, row.issued_before, row.reason, row.value
    )
