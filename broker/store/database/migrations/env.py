"""Alembic's entry: runs the migrations on the connection that `store.migrate` hands over."""

from typing import Any, Literal

from alembic import context

from broker.store.database.tables import UtcDateTime, metadata


def _render(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    # A migration is history: it must not change when our column type does.
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render,
)
with context.begin_transaction():
    context.run_migrations()
