"""The reported token counts of which a session's cost is made, and those that cannot be true"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("session_reports", sa.Column("token_counts", sa.JSON(), nullable=True))
    op.add_column("session_reports", sa.Column("set_aside", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("session_reports", "set_aside")
    op.drop_column("session_reports", "token_counts")
