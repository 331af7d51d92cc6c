"""Sums of usage by day, and which sessions and refusals are in them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_KEYS = {"principal_key": 40, "day": 10, "service_key": 32, "profile": 64, "model": 128, "code": 32}
_SUMS = (
    "sessions", "seconds",
    "input_tokens", "output_tokens", "thought_tokens", "tool_prompt_tokens",
    "input_text_tokens", "input_audio_tokens", "input_image_tokens", "input_video_tokens",
    "output_text_tokens", "output_audio_tokens", "cached_tokens",
    "nanos", "unpriced", "refusals",
)  # fmt: skip
_UNSETTLED = sa.text("NOT settled")
_UNSUMMED = sa.text("outcome NOT IN ('ok', 'reserved') AND NOT is_summed")


def upgrade() -> None:
    op.create_table(
        "usage_days",
        *(sa.Column(name, sa.String(length=length), nullable=False) for name, length in _KEYS.items()),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint(*_KEYS, name=op.f("pk_usage_days")),
    )
    # What is there already is summed by the first ends, exports or purges.
    op.add_column("sessions", sa.Column("settled", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("sessions", sa.Column("summed", sa.JSON(), nullable=True))
    op.add_column("audit", sa.Column("is_summed", sa.Boolean(), server_default=sa.false(), nullable=False))
    _index("ix_sessions_unsettled", "sessions", ["ends_at", "id"], _UNSETTLED)
    _index("ix_audit_unsummed", "audit", ["id"], _UNSUMMED)


def _index(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_audit_unsummed", "audit")
    op.drop_index("ix_sessions_unsettled", "sessions")
    op.drop_column("audit", "is_summed")
    op.drop_column("sessions", "summed")
    op.drop_column("sessions", "settled")
    op.drop_table("usage_days")
