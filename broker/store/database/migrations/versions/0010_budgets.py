"""What principals and the project have spent in each day and month, and budgets for single principals"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("limits", sa.Column("budget_per_day", sa.BigInteger(), nullable=True))
    op.add_column("limits", sa.Column("budget_per_month", sa.BigInteger(), nullable=True))
    op.add_column("limits", sa.Column("minutes_per_month", sa.Integer(), nullable=True))
    # Sessions that exist already were not charged to a budget, and never are.
    day = sa.Column("spent_on", sa.String(length=10), server_default="", nullable=False)
    op.add_column("sessions", day)
    for table, column, kind in (
        ("sessions", "spent_nanos", sa.BigInteger()),
        ("sessions", "spent_seconds", sa.Integer()),
        ("tokens", "nanos", sa.BigInteger()),
    ):
        op.add_column(table, sa.Column(column, kind, server_default="0", nullable=False))
    op.create_table(
        "spending",
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("nanos", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "period", name=op.f("pk_spending")),
    )


def downgrade() -> None:
    op.drop_table("spending")
    op.drop_column("tokens", "nanos")
    for column in ("spent_seconds", "spent_nanos", "spent_on"):
        op.drop_column("sessions", column)
    for column in ("minutes_per_month", "budget_per_month", "budget_per_day"):
        op.drop_column("limits", column)
