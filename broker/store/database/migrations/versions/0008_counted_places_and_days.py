"""Counts of places and sums of days, so that no request for a token counts rows"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_COUNTED, _RESERVED = sa.text("counted"), sa.text("state = 'reserved'")
# A place that is free already may be counted: the first requests find that out. None may be left out, even
# if clocks differ. The days that no limit reads any more are not needed.
_MARGIN = timedelta(days=1)
_DAYS = timedelta(days=3)
_PLACES = sa.table("places", *(sa.column(name) for name in ("owner", "plan", "taken", "recounted_on")))
_SUMS = sa.table("day_sums", *(sa.column(name) for name in ("key", "day", "seconds", "forgiven")))


def upgrade() -> None:
    op.add_column("sessions", sa.Column("counted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "places",
        sa.Column("owner", sa.String(length=40), nullable=False),
        sa.Column("plan", sa.String(length=64), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("recounted_on", sa.String(length=10), nullable=False),
        sa.PrimaryKeyConstraint("owner", "plan", name=op.f("pk_places")),
    )
    op.create_table(
        "day_sums",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("forgiven", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "day", name=op.f("pk_day_sums")),
    )
    now = datetime.now(UTC).replace(tzinfo=None)
    _count_places(now)
    _sum_days(now)
    for name, columns in _PARTIAL["sessions"].items():
        op.create_index(name, "sessions", columns, sqlite_where=_COUNTED, postgresql_where=_COUNTED)
    for name, columns in _PARTIAL["tokens"].items():
        op.create_index(name, "tokens", columns, sqlite_where=_RESERVED, postgresql_where=_RESERVED)


_PARTIAL = {
    "sessions": {
        "ix_sessions_counted": ["held_until"],
        "ix_sessions_principal_counted": ["principal_key", "held_until"],
        "ix_sessions_acting_counted": ["acting_key", "held_until"],
    },
    "tokens": {
        "ix_tokens_principal_unconfirmed": ["principal_key", "connect_by"],
        "ix_tokens_acting_unconfirmed": ["acting_key", "connect_by"],
    },
}


def _count_places(now: datetime) -> None:
    connection = op.get_bind()
    since = sa.bindparam("since", now - _MARGIN, type_=sa.DateTime())
    connection.execute(
        sa.text("UPDATE sessions SET counted = true WHERE held_until > :since").bindparams(since)
    )
    taken: Counter[tuple[str, str]] = Counter({("project", ""): 0})
    found = "SELECT principal_key, acting_key, plan, count(*) FROM sessions WHERE counted GROUP BY 1, 2, 3"
    for principal_key, acting_key, plan, number in connection.exec_driver_sql(found):
        owners = [("project", ""), ("plan", plan), (principal_key, ""), (acting_key, "")]
        taken.update({owner: number for owner in owners if owner[0] is not None})
    day = now.date().isoformat()
    op.bulk_insert(
        _PLACES,
        [
            {"owner": owner, "plan": plan, "taken": number, "recounted_on": day}
            for (owner, plan), number in taken.items()
        ],
    )


def _sum_days(now: datetime) -> None:
    columns: list[Any] = [sa.column(name) for name in ("principal_key", "acting_key", "seconds", "forgiven")]
    at: Any = sa.column("reserved_at", sa.DateTime())
    tokens = sa.table("tokens", *columns, at)
    recent = sa.select(at, *columns).select_from(tokens).where(at >= now - _DAYS)
    seconds: Counter[tuple[str, str]] = Counter()
    forgiven: Counter[tuple[str, str]] = Counter()
    for row in op.get_bind().execute(recent):
        day = row.reserved_at.date().isoformat()
        for key in filter(None, (row.principal_key, row.acting_key)):
            seconds[key, day] += row.seconds
            forgiven[key, day] += row.forgiven
    if seconds:
        op.bulk_insert(
            _SUMS,
            [
                {"key": key, "day": day, "seconds": charged, "forgiven": forgiven[key, day]}
                for (key, day), charged in seconds.items()
            ],
        )


def downgrade() -> None:
    for table, indexes in _PARTIAL.items():
        for name in indexes:
            op.drop_index(name, table)
    op.drop_table("day_sums")
    op.drop_table("places")
    op.drop_column("sessions", "counted")
