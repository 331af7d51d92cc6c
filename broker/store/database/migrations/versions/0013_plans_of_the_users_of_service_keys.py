"""The plans of a service key's users"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    # Existing keys give their users the plan `default`, as before.
    user_plan = sa.Column("user_plan", sa.String(length=64), server_default="default", nullable=False)
    op.add_column("service_keys", user_plan)
    op.add_column("service_keys", sa.Column("plans", sa.JSON(), nullable=True))
    op.add_column("sessions", sa.Column("user_plan", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "user_plan")
    op.drop_column("service_keys", "plans")
    op.drop_column("service_keys", "user_plan")
