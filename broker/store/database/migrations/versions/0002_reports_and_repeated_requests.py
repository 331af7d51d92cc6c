"""Session reports, idempotency keys, places reserved for plans, mint durations"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "session_reports",
        sa.Column("session_id", sa.String(length=40), nullable=False),
        sa.Column("reported_at", sa.DateTime(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_session_reports_session_id")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session_reports")),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("claim", sa.String(length=32), nullable=False),
        sa.Column("claimed_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("token_id", sa.String(length=40), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_expires_at"), "idempotency", ["expires_at"])
    # Added in place: a batch operation would make SQLite copy the whole table.
    op.add_column("sessions", sa.Column("plan", sa.String(length=64), server_default="", nullable=False))
    op.add_column("tokens", sa.Column("mint_ms", sa.Integer(), nullable=True))
    op.drop_index(op.f("ix_sessions_held_until"), "sessions")
    op.create_index("ix_sessions_held_plan", "sessions", ["held_until", "plan"])


def downgrade() -> None:
    op.drop_index("ix_sessions_held_plan", "sessions")
    op.create_index(op.f("ix_sessions_held_until"), "sessions", ["held_until"])
    with op.batch_alter_table("tokens") as batch_op:
        batch_op.drop_column("mint_ms")
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.drop_column("plan")
    op.drop_table("idempotency")
    op.drop_table("session_reports")
