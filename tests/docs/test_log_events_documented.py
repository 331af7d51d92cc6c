"""docs/operations.md lists exactly the events that the broker logs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.markdown import ROOT, bare, rows, section

BROKER = ROOT / "broker"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def is_logger(node: ast.expr) -> bool:
    """Recognizes `_log.info` and `getattr(_log, level)`."""
    if isinstance(node, ast.Attribute) and node.attr in LEVELS:
        return isinstance(node.value, ast.Name) and node.value.id == "_log"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        return isinstance(node.args[0], ast.Name) and node.args[0].id == "_log"
    return False


def events(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and is_logger(node.func):
            event = node.args[0]
            assert isinstance(event, ast.Constant), f"{path}:{node.lineno} must log a constant word"
            yield str(event.value)


def test_every_event_is_documented() -> None:
    service = [path for path in BROKER.rglob("*.py") if "standin" not in path.parts]
    logged = {event for path in service for event in events(path)}
    table = rows(section("docs/operations.md", "## Logs"))
    listed = {bare(row[0]) for row in table if len(row) == 4}
    assert logged == listed
    assert len(logged) >= 9
