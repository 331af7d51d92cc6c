"""Indexes for the usage series, which read all principals' rows of an hour, a day or a week"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_REFUSED = sa.text("outcome NOT IN ('ok', 'reserved')")


def upgrade() -> None:
    op.create_index("ix_tokens_reserved", "tokens", ["reserved_at"])
    op.create_index(op.f("ix_session_reports_reported_at"), "session_reports", ["reported_at"])
    op.create_index(
        "ix_audit_refused", "audit", ["at", "outcome"], sqlite_where=_REFUSED, postgresql_where=_REFUSED
    )


def downgrade() -> None:
    op.drop_index("ix_audit_refused", "audit")
    op.drop_index(op.f("ix_session_reports_reported_at"), "session_reports")
    op.drop_index("ix_tokens_reserved", "tokens")
