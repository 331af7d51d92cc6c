"""docs/operations.md lists exactly the events that the broker logs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.markdown import ROOT, bare, rows, section

BROKER = ROOT / "broker"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def is_log_method(node: ast.AST) -> bool:
    """Recognizes `_log.info` and the other levels."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in LEVELS
        and isinstance(node.value, ast.Name)
        and node.value.id == "_log"
    )


def names_of_log_methods(tree: ast.Module) -> set[str]:
    """Recognizes `write = _log.error if … else _log.info`."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(is_log_method(part) for part in ast.walk(node.value))
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def events(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    names = names_of_log_methods(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if is_log_method(node.func) or (isinstance(node.func, ast.Name) and node.func.id in names):
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
