"""Number of events for each audit row: repeated refusals share a row"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_REFUSED = sa.text("outcome NOT IN ('ok', 'reserved')")


def upgrade() -> None:
    op.drop_index("ix_audit_refused", "audit")
    op.add_column("audit", sa.Column("times", sa.Integer(), server_default="1", nullable=False))
    _index("at", "outcome", "times")


def downgrade() -> None:
    op.drop_index("ix_audit_refused", "audit")
    op.drop_column("audit", "times")
    _index("at", "outcome")


def _index(*columns: str) -> None:
    op.create_index("ix_audit_refused", "audit", columns, sqlite_where=_REFUSED, postgresql_where=_REFUSED)
