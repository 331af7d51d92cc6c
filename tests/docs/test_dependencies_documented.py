"""docs/dependencies.md lists exactly the chosen packages, each with a reason."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter

from tests.docs.markdown import ROOT, bare, rows, section

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def names(requirements: list[object]) -> set[str]:
    """Without extras and versions; an `include-group` entry is a table, not a requirement."""
    return {re.split(r"[\[<>=~! ]", text)[0] for text in requirements if isinstance(text, str)}


def documented(heading: str) -> set[str]:
    table = rows(section("docs/dependencies.md", heading))
    assert [name for name, reason in table if len(reason) < 15] == [], "a name without a reason"
    listed = [bare(name) for name, _reason in table]
    assert [name for name, count in Counter(listed).items() if count > 1] == [], "listed more than once"
    return set(listed)


def test_runtime() -> None:
    assert documented("## Runtime") == names(PYPROJECT["project"]["dependencies"])


def test_standin() -> None:
    assert documented("## Stand-in") == names(PYPROJECT["project"]["optional-dependencies"]["standin"])


def test_traces() -> None:
    assert documented("## Traces") == names(PYPROJECT["project"]["optional-dependencies"]["otel"])


def test_development() -> None:
    groups = PYPROJECT["dependency-groups"]
    assert documented("## Development") == names(groups["build"]) | names(groups["dev"])


def test_benchmark() -> None:
    assert documented("## Benchmark") == names(PYPROJECT["dependency-groups"]["bench"])


def test_javascript_for_tests() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    assert "dependencies" not in package, "the library and the page have none"
    assert documented("## JavaScript, for development only") == set(package["devDependencies"])
