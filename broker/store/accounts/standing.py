"""SqlStanding: what each request reads about its principal. Implements `identity.blocks.Standing`.

One read answers everything: for an own user it is the look-up of the user, joined with the operators'
overrides for it and for its team, and with the at most four rows that can block the credential. Each of them
is found by an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, and_, bindparam, literal, or_, select

from broker.identity.bearer import Verified
from broker.identity.blocks import Block, BlockKind, token_key
from broker.identity.users import User
from broker.principal import NO_OVERRIDES, OWN_ISSUER, Overrides, Principal
from broker.store.accounts.blocks import SqlBlocks
from broker.store.accounts.overrides import (
    OVERRIDES,
    TEAM_LIMITS,
    TEAM_OVERRIDES,
    is_of_team,
    overrides_of,
    team_overrides_of,
)
from broker.store.accounts.users import user_of
from broker.store.database.engine import Database
from broker.store.database.statement import Query, Statement
from broker.store.database.tables import blocks, limits, users

_AGAINST = or_(
    and_(
        # Not a plain list: SQLAlchemy would write the SQL anew for each request.
        blocks.c.kind.in_([literal(BlockKind.PRINCIPAL), literal(BlockKind.ISSUED_BEFORE)]),
        blocks.c.value == bindparam("principal"),
    ),
    and_(blocks.c.kind == BlockKind.TOKEN, blocks.c.value == bindparam("token")),
    and_(blocks.c.kind == BlockKind.ISSUER, blocks.c.value == bindparam("issuer")),
)
_OVERRIDDEN = limits.c.key == bindparam("principal")
# One row that always exists: the outer joins return it even for an unknown principal.
_ALWAYS = select(literal(1).label("one")).subquery()
_OTHER = Query(
    select(blocks.c.kind, blocks.c.issued_before, *OVERRIDES, *TEAM_OVERRIDES).select_from(
        _ALWAYS.outerjoin(limits, _OVERRIDDEN)
        .outerjoin(TEAM_LIMITS, is_of_team(bindparam("team", type_=String())))
        .outerjoin(blocks, _AGAINST)
    )
)
_OWN_USER = Query(
    select(users, blocks.c.kind, blocks.c.issued_before, *OVERRIDES, *TEAM_OVERRIDES)
    .select_from(
        users.outerjoin(limits, _OVERRIDDEN)
        .outerjoin(TEAM_LIMITS, is_of_team(users.c.team))
        .outerjoin(blocks, _AGAINST)
    )
    .where(users.c.username == bindparam("name"))
)


_BLOCKED = Statement(
    select(
        or_(
            select(blocks.c.kind)
            .where(
                or_(
                    and_(
                        blocks.c.kind == BlockKind.PRINCIPAL,
                        blocks.c.value.in_([bindparam("key"), bindparam("acting_key")]),
                    ),
                    and_(
                        blocks.c.kind == BlockKind.ISSUER,
                        blocks.c.value.in_([bindparam("issuer"), bindparam("acting_issuer")]),
                    ),
                )
            )
            .exists(),
            select(users.c.username)
            .where(users.c.username == bindparam("name"), users.c.blocked_at.is_not(None))
            .exists(),
        )
    )
)


def is_blocked(connection: Connection, principal: Principal) -> bool:
    """Whether the principal, or the key that acts for it, is blocked now.

    For a principal whose credential was admitted earlier. A block that does not show here commits later, and
    then it sees the token that this transaction is about to confirm.
    """
    actor = principal.actor
    values = {
        "key": principal.key,
        "issuer": principal.issuer,
        "acting_key": actor.key if actor else None,
        "acting_issuer": actor.issuer if actor else None,
        "name": principal.subject if principal.issuer == OWN_ISSUER else None,
    }
    return bool(_BLOCKED.run(connection, values).scalar())


class SqlStanding:
    def __init__(self, database: Database) -> None:
        self._database = database

    def of_own_user(self, verified: Verified) -> tuple[User | None, Overrides, Overrides, list[Block]]:
        values = {**_values(verified), "name": verified.principal.subject}
        with self._database.read() as connection:
            rows = _OWN_USER.rows(connection, values)
        if not rows:
            return None, NO_OVERRIDES, NO_OVERRIDES, []
        return user_of(rows[0]), overrides_of(rows[0]), team_overrides_of(rows[0]), _blocks(rows)

    def of_other(self, verified: Verified) -> tuple[Overrides, Overrides, list[Block]]:
        team = verified.principal.team
        values = {**_values(verified), "team": None if team is None else team.subject}
        with self._database.read() as connection:
            rows = _OTHER.rows(connection, values)
        return overrides_of(rows[0]), team_overrides_of(rows[0]), _blocks(rows)

    def withdraw_token(self, principal: Principal, token_id: str, until: datetime) -> None:
        """The holder signs out with this token, so the token is blocked."""
        actor = f"{principal.issuer}:{principal.subject}"
        SqlBlocks(self._database).block(
            BlockKind.TOKEN, principal.issuer, token_id, actor=actor, expires_at=until
        )


def _values(verified: Verified) -> dict[str, str | None]:
    principal, token_id = verified.principal, verified.token_id
    token = None if token_id is None else token_key(principal.issuer, token_id)
    return {"principal": principal.key, "issuer": principal.issuer, "token": token}


def _blocks(rows: Sequence[Any]) -> list[Block]:
    return [Block(BlockKind(row.kind), row.issued_before) for row in rows if row.kind is not None]
