"""SqlBlocked: everything that is blocked, in one list: own users, other principals, tokens and issuers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import and_, literal, null, select, tuple_, union_all

from broker.identity.blocks import BlockKind
from broker.principal import OWN_ISSUER, principal_key
from broker.store.database.engine import Database
from broker.store.database.tables import blocks, users

USER = "user"
Kind = Literal["user", "principal", "issued-before", "jti", "issuer"]

_USERS = select(
    literal(USER).label("kind"),
    users.c.username.label("value"),
    literal(OWN_ISSUER).label("issuer"),
    users.c.username.label("subject"),
    null().label("issued_before"),
    users.c.blocked_reason.label("reason"),
    users.c.blocked_at.label("created_at"),
    null().label("expires_at"),
).where(users.c.blocked_at.is_not(None))
_OTHERS = select(
    blocks.c.kind,
    blocks.c.value,
    blocks.c.issuer,
    blocks.c.subject,
    blocks.c.issued_before,
    blocks.c.reason,
    blocks.c.created_at,
    blocks.c.expires_at,
)
_ALL = union_all(_OTHERS, _USERS).subquery()
# A sign-out also blocks credentials, and no one can undo it.
_CAN_BE_LIFTED = and_(_ALL.c.kind != BlockKind.ISSUED_BEFORE, _ALL.c.expires_at.is_(None))


@dataclass(frozen=True)
class Blocked:
    """`subject` is the subject, the token's id, or empty for a whole issuer. `key` names a principal.

    `value`, together with `kind`, is its position in the list.
    """

    kind: Kind
    value: str
    issuer: str
    subject: str
    key: str | None
    issued_before: datetime | None
    reason: str
    created_at: datetime
    can_be_lifted: bool


class SqlBlocked:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, *, only_liftable: bool = False, after: tuple[str, str] | None = None, limit: int
    ) -> list[Blocked]:
        """In the order of (kind, value), starting after `after`. `only_liftable` leaves sign-outs out."""
        query = (
            select(_ALL, _CAN_BE_LIFTED.label("can_be_lifted"))
            .order_by(_ALL.c.kind, _ALL.c.value)
            .limit(limit)
        )
        if only_liftable:
            query = query.where(_CAN_BE_LIFTED)
        if after is not None:
            query = query.where(tuple_(_ALL.c.kind, _ALL.c.value) > tuple_(*map(literal, after)))
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            Blocked(
                kind=row.kind,
                value=row.value,
                issuer=row.issuer,
                subject=row.subject,
                key=_key(row.kind, row.issuer, row.subject),
                issued_before=row.issued_before,
                reason=row.reason,
                created_at=row.created_at,
                can_be_lifted=bool(row.can_be_lifted),
            )
            for row in rows
        ]


def _key(kind: Kind, issuer: str, subject: str) -> str | None:
    is_person = kind in {USER, BlockKind.PRINCIPAL, BlockKind.ISSUED_BEFORE}
    return principal_key(issuer, subject) if is_person else None
