"""Function calls: their ids, the answers that are awaited, and arguments invented from a declaration.

A call that an interruption cancelled is remembered, because its answer may already be on the way and is not
an error.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any


@dataclass
class Call:
    id: str
    name: str
    answer: asyncio.Future[dict[str, Any]] | None  # None: NON_BLOCKING, no turn waits for it


class Tools:
    def __init__(self) -> None:
        self._pending: dict[str, Call] = {}
        self._cancelled: set[str] = set()

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    def open(self, name: str, blocking: bool) -> Call:
        answer = asyncio.get_running_loop().create_future() if blocking else None
        call = Call("standin-call-" + secrets.token_hex(6), name, answer)
        self._pending[call.id] = call
        return call

    def take(self, call_id: str, keep: bool) -> Call | None:
        """Returns the call that this answers, or None if it was cancelled. Raises KeyError for an unknown
        id."""
        if call_id in self._cancelled:
            return None
        return self._pending[call_id] if keep else self._pending.pop(call_id)

    def cancel(self, ids: list[str]) -> None:
        for call_id in ids:
            self._pending.pop(call_id, None)
        self._cancelled.update(ids)


def declared(setup: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for tool in setup.get("tools", []) for f in tool.get("functionDeclarations", [])]


def example_arguments(function: dict[str, Any]) -> dict[str, Any]:
    """Values of the declared types, from a Schema or a JSON schema."""
    schema = function.get("parameters") or function.get("parametersJsonSchema") or {}
    value = _example(schema) if isinstance(schema, dict) else {}
    return value if isinstance(value, dict) else {}


def _example(schema: dict[str, Any]) -> Any:
    if schema.get("enum"):
        return schema["enum"][0]
    for given in ("example", "default"):
        if given in schema:
            return schema[given]
    kind = str(schema.get("type", "OBJECT")).upper()
    if kind == "OBJECT":
        return {name: _example(part) for name, part in schema.get("properties", {}).items()}
    if kind == "ARRAY":
        return [_example(schema.get("items", {"type": "STRING"}))]
    return {"STRING": "example", "NUMBER": 1.5, "INTEGER": 1, "BOOLEAN": True}.get(kind)
