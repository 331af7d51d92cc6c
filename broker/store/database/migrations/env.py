"""Alembic's entry point: runs the migrations on the connection that `migrate` passes in."""

from typing import Any, Literal

from alembic import context

from broker.store.database import partial_indexes as partial_indexes  # completes the schema
from broker.store.database import sum_tables as sum_tables
from broker.store.database.column_types import UtcDateTime
from broker.store.database.tables import metadata


def _render(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    # A migration must not change when our column type does, so it names the plain type.
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
