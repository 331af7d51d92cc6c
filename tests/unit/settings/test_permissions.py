"""Files that other users of the machine can read or write: a warning at start, and no fault."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from broker.settings import load
from broker.settings.document import SHIPPED

GOOD = {"GEMINI_API_KEY": "AQ.test-0123456789", "BROKER_SECRET_KEY": secrets.token_hex(32)}


def with_file(tmp_path: Path, name: str) -> tuple[dict[str, str], Path]:
    """Settings with one file."""
    if name == "BROKER_DATABASE_URL":
        path = tmp_path / "a ü" / "x.sqlite3"
        path.parent.mkdir()
        path.touch()
        return {**GOOD, name: f"sqlite:///{path}"}, path
    path = tmp_path / "file"
    if name == "BROKER_CONFIG":
        path.write_text(SHIPPED.read_text())
        return {**GOOD, name: str(path)}, path
    path.write_text(GOOD[name])
    return {**{key: value for key, value in GOOD.items() if key != name}, f"{name}_FILE": str(path)}, path


@pytest.mark.parametrize(
    ("name", "mode", "word"),
    [
        ("GEMINI_API_KEY", 0o644, "read"),
        ("GEMINI_API_KEY", 0o646, "write"),
        ("BROKER_SECRET_KEY", 0o604, "read"),
        ("BROKER_CONFIG", 0o666, "write"),
        ("BROKER_DATABASE_URL", 0o606, "write"),
    ],
)
def test_file_that_others_can_use_is_a_warning(tmp_path: Path, name: str, mode: int, word: str) -> None:
    environ, path = with_file(tmp_path, name)
    path.chmod(mode)
    (warning,) = load(environ).warnings
    assert warning.startswith(name)
    assert warning.endswith(f"can {word} {path} (mode {mode:04o})")


@pytest.mark.parametrize(
    ("name", "mode"),
    [("GEMINI_API_KEY", 0o600), ("BROKER_SECRET_KEY", 0o440), ("BROKER_CONFIG", 0o644),
     ("BROKER_DATABASE_URL", 0o600)],
)  # fmt: skip
def test_file_of_its_owner_is_no_warning(tmp_path: Path, name: str, mode: int) -> None:
    environ, path = with_file(tmp_path, name)
    path.chmod(mode)
    assert load(environ).warnings == ()


def test_database_that_does_not_exist_yet_is_no_warning(tmp_path: Path) -> None:
    assert load({**GOOD, "BROKER_DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3"}).warnings == ()
