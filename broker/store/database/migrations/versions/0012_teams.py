"""Teams of users, service keys and sessions, and their sums of usage"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_WITH_TEAM = ("users", "sign_ins", "service_keys")
_KEYS = ["principal_key", "day", "service_key", "profile", "model", "code"]
_IN_TEAM = sa.text("team_key IS NOT NULL")
_TEAM_COUNTED = sa.text("counted AND team_key IS NOT NULL")


def upgrade() -> None:
    for table in _WITH_TEAM:
        op.add_column(table, sa.Column("team", sa.String(length=64), nullable=True))
    op.add_column("sessions", sa.Column("team_key", sa.String(length=40), nullable=True))
    _index("ix_sessions_team", ["team_key", "principal_key"], _IN_TEAM)
    _index("ix_sessions_team_counted", ["team_key", "held_until"], _TEAM_COUNTED)
    op.create_index("ix_limits_issuer_subject", "limits", ["issuer", "subject"])
    team = sa.Column("team", sa.String(length=64), server_default="", nullable=False)
    with op.batch_alter_table("usage_days") as usage_days:
        usage_days.add_column(team)
        usage_days.drop_constraint("pk_usage_days", type_="primary")
        usage_days.create_primary_key("pk_usage_days", [*_KEYS, "team"])


def _index(name: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, "sessions", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    with op.batch_alter_table("usage_days") as usage_days:
        usage_days.drop_constraint("pk_usage_days", type_="primary")
        usage_days.drop_column("team")
        usage_days.create_primary_key("pk_usage_days", _KEYS)
    op.drop_index("ix_limits_issuer_subject", "limits")
    op.drop_index("ix_sessions_team_counted", "sessions")
    op.drop_index("ix_sessions_team", "sessions")
    op.drop_column("sessions", "team_key")
    for table in _WITH_TEAM:
        op.drop_column(table, "team")
