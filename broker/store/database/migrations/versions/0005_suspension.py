"""Suspension of new tokens"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "suspension",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("profiles", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("renewals", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=520), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suspension")),
    )


def downgrade() -> None:
    op.drop_table("suspension")
