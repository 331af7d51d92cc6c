"""Blocks in SQL: implements `identity.blocks.Standing` and what operators do to blocks.

One read answers everything that is asked per request: for a user of our own it is the look-up of the user
itself, joined with what operators have set for it and with the at most four rows that could turn the
credential away, each found by primary key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, literal, or_, select, tuple_

from broker.identity.bearer import Verified
from broker.identity.blocks import Block, BlockKind, token_key
from broker.identity.users import User
from broker.principal import NO_OVERRIDES, Overrides, Principal, principal_key
from broker.store import audit
from broker.store.accounts.overrides import OVERRIDES, overrides_of
from broker.store.accounts.principals import ensure_principal
from broker.store.accounts.revocation import end_sign_ins, honoured_until
from broker.store.accounts.users import user_of
from broker.store.database.engine import Database
from broker.store.database.tables import blocks, limits, principals, sign_ins, users

_AGAINST = or_(
    and_(
        blocks.c.kind.in_([BlockKind.PRINCIPAL, BlockKind.ISSUED_BEFORE]),
        blocks.c.value == bindparam("principal"),
    ),
    and_(blocks.c.kind == BlockKind.TOKEN, blocks.c.value == bindparam("token")),
    and_(blocks.c.kind == BlockKind.ISSUER, blocks.c.value == bindparam("issuer")),
)
_SET = limits.c.key == bindparam("principal")
# There is a row to join them to even for somebody of whom nothing is known.
_ANYBODY = select(literal(1).label("one")).subquery()
_OF_OTHER = select(blocks.c.kind, blocks.c.issued_before, *OVERRIDES).select_from(
    _ANYBODY.outerjoin(limits, _SET).outerjoin(blocks, _AGAINST)
)
_OF_OWN_USER = (
    select(users, blocks.c.kind, blocks.c.issued_before, *OVERRIDES)
    .select_from(users.outerjoin(limits, _SET).outerjoin(blocks, _AGAINST))
    .where(users.c.username == bindparam("name"))
)


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
    """With the kind its place in the list."""


class SqlBlocks:
    def __init__(self, database: Database) -> None:
        self._database = database

    def of_own_user(self, verified: Verified) -> tuple[User | None, Overrides, list[Block]]:
        asked = {**_asked(verified), "name": verified.principal.subject}
        with self._database.read() as connection:
            rows = connection.execute(_OF_OWN_USER, asked).all()
        if not rows:
            return None, NO_OVERRIDES, []
        return user_of(rows[0]), overrides_of(rows[0]), _blocks(rows)

    def of_other(self, verified: Verified) -> tuple[Overrides, list[Block]]:
        with self._database.read() as connection:
            rows = connection.execute(_OF_OTHER, _asked(verified)).all()
        return overrides_of(rows[0]), _blocks(rows)

    def withdraw_token(self, principal: Principal, token_id: str, until: datetime) -> None:
        """By its own holder, who signs out with it."""
        actor = f"{principal.issuer}:{principal.subject}"
        self.block(BlockKind.TOKEN, principal.issuer, token_id, actor=actor, expires_at=until)

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
        """`expires_at` is when the block is of no more use because the token is over; until it is cleared
        out it holds, so that no request has to ask what time it is.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            self._set(connection, now, kind, issuer, subject, actor, reason=reason, expires_at=expires_at)

    def block_principal(self, issuer: str, subject: str, *, actor: str, reason: str = "") -> datetime | None:
        """Returns until when Google may still honour tokens that were given out.

        Sign-ins stay on record until the block is lifted: their pages are to be told why.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            ensure_principal(self._database, connection, issuer, subject)
            self._set(connection, now, BlockKind.PRINCIPAL, issuer, subject, actor, reason=reason)
            return honoured_until(connection, issuer, subject, now)

    def withdraw_before_now(self, issuer: str, subject: str, *, actor: str) -> None:
        with self._database.write() as connection:
            now = self._database.now(connection)
            end_sign_ins(connection, issuer, subject)
            self._set(connection, now, BlockKind.ISSUED_BEFORE, issuer, subject, actor, issued_before=now)

    def lift(
        self, kind: BlockKind, issuer: str, subject: str = "", *, actor: str, revives: bool = True
    ) -> bool:
        """Whether there was such a block. Unless it `revives`, credentials of before now stay withdrawn."""
        with self._database.write() as connection:
            before = self._take_away(connection, kind, issuer, subject)
            if before is None:
                return False
            now = self._database.now(connection)
            action = f"unblock.{kind}"
            if revives:
                _record(connection, now, action, actor, issuer, subject, before, None)
            else:
                end_sign_ins(connection, issuer, subject)
                older = BlockKind.ISSUED_BEFORE
                row = self._put(connection, now, older, issuer, subject, issued_before=now)
                _record(connection, now, action, actor, issuer, subject, before, row)
        return True

    def has_seen(self, issuer: str) -> bool:
        """Whether anybody ever came in through it."""
        seen = [
            select(table.c.issuer).where(table.c.issuer == issuer).limit(1)
            for table in (principals, sign_ins)
        ]
        with self._database.read() as connection:
            return any(connection.execute(query).one_or_none() for query in seen)

    def page(self, *, after: tuple[str, str] | None = None, most: int | None = None) -> list[BlockRow]:
        """In the order of what is looked for, from the one behind `after` (its kind and value) on."""
        asked = select(blocks).order_by(blocks.c.kind, blocks.c.value).limit(most)
        if after is not None:
            asked = asked.where(tuple_(blocks.c.kind, blocks.c.value) > tuple_(*map(literal, after)))
        with self._database.read() as connection:
            return [_block_row(row) for row in connection.execute(asked)]

    def _set(
        self,
        connection: Connection,
        now: datetime,
        kind: BlockKind,
        issuer: str,
        subject: str,
        actor: str,
        *,
        reason: str = "",
        issued_before: datetime | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        """In place of an earlier block of the same, with its audit row. Clears out what is of no more use."""
        before = self._take_away(connection, kind, issuer, subject)
        connection.execute(delete(blocks).where(blocks.c.expires_at < now))
        after = self._put(
            connection,
            now,
            kind,
            issuer,
            subject,
            reason=reason,
            issued_before=issued_before,
            expires_at=expires_at,
        )
        _record(connection, now, f"block.{kind}", actor, issuer, subject, before, after)

    def _take_away(
        self, connection: Connection, kind: BlockKind, issuer: str, subject: str
    ) -> Mapping[str, Any] | None:
        """The block as it was, for the trail; None if there was none."""
        same = and_(blocks.c.kind == kind, blocks.c.value == _value(kind, issuer, subject))
        row = connection.execute(delete(blocks).where(same).returning(blocks)).one_or_none()
        return None if row is None else _to_json(dict(row._mapping))

    def _put(
        self,
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
        # Two that block the same at once want the same: whoever comes second finds it done.
        connection.execute(self._database.insert_or_ignore(blocks), row)
        return _to_json(row)


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


def _to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of a block what a person asks about, as JSON."""
    times = {name: row[name] for name in ("created_at", "issued_before", "expires_at")}
    return {
        "kind": str(row["kind"]),
        **{name: at.isoformat(timespec="seconds") for name, at in times.items() if at is not None},
        **({"reason": row["reason"]} if row["reason"] else {}),
    }


def _block_row(row: Row[Any]) -> BlockRow:
    return BlockRow(
        BlockKind(row.kind), row.issuer, row.subject, row.created_at, row.issued_before, row.reason, row.value
    )


def _value(kind: BlockKind, issuer: str, subject: str) -> str:
    """What a request looks for: always of bounded length, however long a jti is."""
    if kind is BlockKind.ISSUER:
        return issuer
    return token_key(issuer, subject) if kind is BlockKind.TOKEN else principal_key(issuer, subject)


def _asked(verified: Verified) -> dict[str, str | None]:
    principal, token_id = verified.principal, verified.token_id
    token = None if token_id is None else token_key(principal.issuer, token_id)
    return {"principal": principal.key, "issuer": principal.issuer, "token": token}


def _blocks(rows: Sequence[Any]) -> list[Block]:
    return [Block(BlockKind(row.kind), row.issued_before) for row in rows if row.kind is not None]
