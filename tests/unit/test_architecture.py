"""The fences: who may import what, and that no audio and no socket is ours to carry."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "broker"
MODULES = {
    ".".join(("broker", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
    if "migrations" not in path.parts
}

# What a package wraps, nobody else touches.
FENCES = {
    "flask": ("broker.app", "broker.http", "broker.limits.limiter"),
    "flask_limiter": ("broker.limits.limiter",),
    "google": ("broker.minting",),
    "sqlalchemy": ("broker.store",),
    "alembic": ("broker.store",),
    "jwt": ("broker.identity",),
    "argon2": ("broker.identity",),
    "aiohttp": ("broker.standin",),
}
# Upper may import lower, never back. A module belongs to the first layer that names a prefix of it.
LAYERS = (
    ("broker.__main__", "broker.gunicorn_conf"),
    (
        "broker.cli.main",
        "broker.cli.completion",
        "broker.cli.keys",
        "broker.cli.limits",
        "broker.cli.output",
        "broker.cli.users",
    ),
    ("broker.cli.dev", "broker.cli.check"),
    ("broker.app",),
    ("broker.http",),
    (
        "broker.issuing.issue",
        "broker.idempotency.replay",
        "broker.issuing.dry_run",
        "broker.operators.users",
        "broker.operators.keys",
        "broker.operators.limits",
        "broker.operators.people",
    ),
    ("broker.store",),
    ("broker.identity", "broker.limits", "broker.minting", "broker.sessions"),
    ("broker.settings",),
    ("broker.profiles",),
    (
        "broker.principal",
        "broker.telemetry",
        "broker.errors",
        "broker.net",
    ),
)
# `ops` speaks to the store directly: it is the operators' story. The rate storage is wired in the limiter.
ALLOWED = {("broker.limits.limiter", "broker.store")}
AUDIO = {"websockets", "websocket", "aiohttp", "wsproto", "wave", "audioop", "array", "numpy", "soundfile"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def layer(module: str) -> int | None:
    best = max(
        (
            (len(prefix), number)
            for number, names in enumerate(LAYERS)
            for prefix in names
            if within(module, prefix)
        ),
        default=None,
    )
    return best[1] if best else None


SERVICE = {name: path for name, path in MODULES.items() if not within(name, "broker.standin")}


@pytest.mark.parametrize("module", SERVICE)
def test_libraries_stay_behind_their_fences(module: str) -> None:
    for imported in imports(SERVICE[module]):
        allowed = FENCES.get(imported.split(".")[0])
        assert allowed is None or any(within(module, prefix) for prefix in allowed), imported


@pytest.mark.parametrize("module", SERVICE)
def test_a_request_goes_down_the_tree_and_never_back_up(module: str) -> None:
    own = layer(module)
    if own is None:
        assert module == "broker"
        return
    for imported in imports(SERVICE[module]):
        other = layer(imported)
        if other is None or any(module == a and within(imported, b) for a, b in ALLOWED):
            continue
        assert own <= other, f"{module} imports {imported}"


@pytest.mark.parametrize("module", SERVICE)
def test_python_never_touches_the_audio_path(module: str) -> None:
    """No socket library and no audio in the service: media flows between the browser and Google."""
    names = set(imports(SERVICE[module]))
    assert not {name.split(".")[0] for name in names} & AUDIO
    # The one place that knows the stand-in is the command that starts it.
    started = {name for name in names if within(name, "broker.standin")}
    assert not started or module == "broker.cli.main"
    calls = {
        node.attr
        for node in ast.walk(ast.parse(SERVICE[module].read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert "live" not in calls, "google-genai's Live client opens the socket"


def test_the_stand_in_is_an_independent_witness() -> None:
    for module, path in MODULES.items():
        if within(module, "broker.standin"):
            foreign = {n for n in imports(path) if within(n, "broker") and not within(n, "broker.standin")}
            assert not foreign - {"broker"}, module


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        m for m, path in SERVICE.items() if "os.environ" in path.read_text().replace("`os.environ`", "")
    }
    # gunicorn's file sets the folder that the metrics' library looks for, before anything is imported.
    assert readers <= {"broker.settings.environment", "broker.cli.dev", "broker.gunicorn_conf"}
