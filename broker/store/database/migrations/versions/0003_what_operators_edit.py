"""Operators' edits: versions of limits, reasons of blocks, a row for every known principal"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("limits") as batch_op:
        batch_op.add_column(sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    with op.batch_alter_table("users") as batch_op:
        batch_op.add_column(
            sa.Column("blocked_reason", sa.String(length=255), server_default="", nullable=False)
        )
    with op.batch_alter_table("principals") as batch_op:
        batch_op.create_index("ix_principals_issuer_subject", ["issuer", "subject"])
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.create_index("ix_sessions_opened_id", ["opened_at", "id"])
    _add_known_principals()


def _add_known_principals() -> None:
    """Add rows for principals that were added, limited or blocked before; from now on the code adds them."""
    connection = op.get_bind()
    known = {tuple(row) for row in connection.exec_driver_sql("SELECT issuer, subject FROM principals")}
    found = connection.exec_driver_sql(
        "SELECT 'live-broker', username FROM users UNION SELECT issuer, subject FROM limits "
        "UNION SELECT issuer, subject FROM blocks WHERE kind = 'principal'"
    )
    missing = {tuple(row) for row in found} - known
    principals = sa.table("principals", sa.column("key"), sa.column("issuer"), sa.column("subject"))
    rows = [
        {"key": _key(issuer, subject), "issuer": issuer, "subject": subject} for issuer, subject in missing
    ]
    if rows:
        op.bulk_insert(principals, rows)


def _key(issuer: str, subject: str) -> str:
    """A copy of the function at this revision: a migration must not change with the code."""
    return hashlib.sha256(f"{len(issuer)}:{issuer}{subject}".encode()).hexdigest()[:40]


def downgrade() -> None:
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.drop_index("ix_sessions_opened_id")
    with op.batch_alter_table("principals") as batch_op:
        batch_op.drop_index("ix_principals_issuer_subject")
    with op.batch_alter_table("users") as batch_op:
        batch_op.drop_column("blocked_reason")
    with op.batch_alter_table("limits") as batch_op:
        batch_op.drop_column("version")
