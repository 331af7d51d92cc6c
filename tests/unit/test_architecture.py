"""The architecture: who may import what. Each failure names the way out.

`violations(root)` takes any copy of the tree, so that the tests at the end can plant a violation in a copy.
Imports under `TYPE_CHECKING` and inside functions count like all others.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "broker"

# A library and the only places that may import it.
FENCES = {
    "flask": ("broker.app", "broker.parts", "broker.http", "broker.limits.limiter"),
    "flask_limiter": ("broker.limits.limiter",),
    "google": ("broker.minting",),
    "sqlalchemy": ("broker.store",),
    "alembic": ("broker.store",),
    "jwt": ("broker.identity",),
    "argon2": ("broker.identity",),
    "aiohttp": ("broker.standin",),
    "opentelemetry": ("broker.telemetry",),
}
# From top to bottom: a module may import its own layer and every layer below it.
# A module belongs to the entry that names its longest prefix. Each package is a layer of its own.
LAYERS = (
    "broker.cli.__main__",
    "broker.cli",
    "broker.cli.proof",
    "broker.gunicorn_conf",
    "broker.app",
    "broker.http",
    "broker.parts",
    "broker.operators",
    "broker.store",
    "broker.issuing",
    "broker.idempotency",
    "broker.sessions",
    "broker.minting",
    "broker.limits",
    "broker.identity",
    "broker.settings",
    "broker.profiles",
    "broker.principal",
    "broker.telemetry",
    "broker.net",
    "broker.errors",
)
AUDIO = {"websockets", "websocket", "aiohttp", "wsproto", "wave", "audioop", "array", "numpy", "soundfile"}
# gunicorn_conf sets the metrics folder before anything is imported; `broker dev` starts its own servers.
READS_ENVIRONMENT = {
    "broker.settings.variables",
    "broker.cli.dev_environment",
    "broker.gunicorn_conf",
}
MOST_ENTRIES = {"broker": 21, "broker/store": 7}
MOST_LINES = 300
MOST_LINES_OF = {"broker/issuing/issue.py": 120}


def violations(root: Path) -> list[str]:
    """One sentence for each violation in the package at `root`, which is named `broker`."""
    modules = _modules(root)
    graph = {name: _imports(path, name, modules) for name, path in modules.items()}
    service = {name: path for name, path in modules.items() if not _within(name, "broker.standin")}
    return [
        *_upward(graph, service),
        *_circles(graph, modules),
        *_unfenced(graph, service),
        *_audio(graph, service),
        *_stand_in(graph, modules, service),
        *_environment(service),
        *_sizes(root),
    ]


def _modules(root: Path) -> dict[str, Path]:
    return {
        ".".join((root.name, *path.relative_to(root).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in sorted(root.rglob("*.py"))
        if "versions" not in path.parts
    }


def _imports(path: Path, module: str, modules: dict[str, Path]) -> set[str]:
    """Every module that `path` imports: our own by file, foreign ones by name."""
    found = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found.add(name if name in modules else base)
    return found - {module}


def _upward(graph: dict[str, set[str]], service: dict[str, Path]) -> Iterator[str]:
    for module in service:
        own = _layer(module)
        if own is None:
            if module != "broker":
                yield f"{module} belongs to no layer: move it into a package, or name it in LAYERS."
            continue
        for imported in sorted(graph[module]):
            other = _layer(imported)
            if other is not None and other < own:
                yield (
                    f"{module} imports {imported}, which lies above it: pass the object in as an argument "
                    f"(app.py wires parts), or move what both need below {LAYERS[own]}."
                )


def _circles(graph: dict[str, set[str]], modules: dict[str, Path]) -> Iterator[str]:
    """Files that import each other, directly or through others."""
    seen: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[str]:
        seen[module] = 1
        stack.append(module)
        for imported in sorted(graph[module] & modules.keys()):
            if seen.get(imported) == 1:
                circle = " -> ".join([*stack[stack.index(imported) :], imported])
                yield f"{circle} is a circle: move what both need into a module that imports neither."
            elif imported not in seen:
                yield from visit(imported)
        stack.pop()
        seen[module] = 2

    for module in modules:
        if module not in seen:
            yield from visit(module)


def _unfenced(graph: dict[str, set[str]], service: dict[str, Path]) -> Iterator[str]:
    for module in service:
        for imported in sorted(graph[module]):
            allowed = FENCES.get(imported.split(".")[0])
            if allowed is not None and not any(_within(module, prefix) for prefix in allowed):
                yield (
                    f"{module} imports {imported}: only {', '.join(allowed)} may. "
                    "Put the call there and import the function."
                )


def _audio(graph: dict[str, set[str]], service: dict[str, Path]) -> Iterator[str]:
    for module, path in service.items():
        if _within(module, "broker.cli.proof"):  # an operator's client of the Live API; no server imports it
            continue
        if used := {name.split(".")[0] for name in graph[module]} & AUDIO:
            yield f"{module} imports {', '.join(used)}: audio flows between the browser and Google only."
        calls = {
            node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
        }
        if "live" in calls:
            yield f"{module} uses google-genai's Live client: the broker mints tokens and opens no socket."


def _stand_in(
    graph: dict[str, set[str]], modules: dict[str, Path], service: dict[str, Path]
) -> Iterator[str]:
    for module in modules.keys() - service.keys():
        for imported in sorted(graph[module]):
            if _within(imported, "broker") and not _within(imported, "broker.standin"):
                yield (
                    f"{module} imports {imported}: the stand-in is an independent witness. "
                    "Write it again in broker/standin."
                )
    for module in service:
        if any(_within(name, "broker.standin") for name in graph[module]) and module != "broker.cli.main":
            yield f"{module} imports the stand-in: only the command in broker.cli.main starts it."


def _environment(service: dict[str, Path]) -> Iterator[str]:
    for module, path in service.items():
        if "os.environ" in path.read_text().replace("`os.environ`", "") and module not in READS_ENVIRONMENT:
            yield f"{module} reads the environment: add a setting to settings/table.py and pass its value in."


def _sizes(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root.parent).as_posix()
        lines = len(path.read_text().splitlines())
        if lines > (most := MOST_LINES_OF.get(name, MOST_LINES)):
            yield f"{name} has {lines} lines, {most} are allowed: give its second job a module of its own."
    for folder, most in MOST_ENTRIES.items():
        entries = [one for one in (root.parent / folder).iterdir() if one.name != "__pycache__"]
        if len(entries) > most:
            yield f"{folder}/ has {len(entries)} entries, {most} are allowed: put the new one into a package."


def _within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def _layer(module: str) -> int | None:
    matches = [(len(prefix), number) for number, prefix in enumerate(LAYERS) if _within(module, prefix)]
    return max(matches)[1] if matches else None


def test_tree_follows_the_architecture() -> None:
    assert violations(ROOT) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT, tmp_path / "broker", ignore=shutil.ignore_patterns("__pycache__")))


def test_planted_upward_import_is_reported(copy: Path) -> None:
    plant(copy / "limits" / "policy.py", "from broker.issuing.issue import TokenIssuer")
    (found,) = [one for one in violations(copy) if "lies above" in one]
    assert found.startswith("broker.limits.policy imports broker.issuing.issue, which lies above it")
    assert "pass the object in as an argument" in found


def test_planted_circle_is_reported(copy: Path) -> None:
    (copy / "net" / "first.py").write_text("from broker.net import second\n")
    (copy / "net" / "second.py").write_text("import broker.net.first\n")
    assert violations(copy) == [
        "broker.net.first -> broker.net.second -> broker.net.first is a circle: "
        "move what both need into a module that imports neither."
    ]


def test_planted_circle_through_type_checking_is_reported(copy: Path) -> None:
    (copy / "net" / "first.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from broker.net.second import Second\n"
    )
    (copy / "net" / "second.py").write_text("from broker.net.first import first\n")
    assert [one for one in violations(copy) if "is a circle" in one]


def test_planted_library_outside_its_fence_is_reported(copy: Path) -> None:
    plant(copy / "operators" / "users.py", "import sqlalchemy")
    assert [one for one in violations(copy) if "only broker.store may" in one]


def test_planted_audio_library_is_reported(copy: Path) -> None:
    plant(copy / "http" / "me.py", "import websockets")
    assert [one for one in violations(copy) if "audio flows between the browser and Google" in one]


def plant(path: Path, line: str) -> None:
    path.write_text(
        path.read_text().replace(
            "from __future__ import annotations\n", f"from __future__ import annotations\n{line}\n", 1
        )
    )
