"""The seconds of each token that could be used and are not charged"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("tokens", sa.Column("forgiven", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("tokens", "forgiven")
