"""The environment of `broker dev`: a database and a secret of its own under `var/dev/` of this folder."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from broker.operators.errors import OperatorError

_FOLDER = Path("var") / "dev"
# Removed from the environment: a real database must never get a user whose password is published.
_OVERRIDDEN = re.compile(
    r"(BROKER_)?(DATABASE_URL|REDIS_URL|SECRET_KEY|SECRET_KEY_PREVIOUS|TRUSTED_HOSTS)(_FILE)?"
)
_KEYS = ("GEMINI_API_KEY", "GEMINI_API_KEY_FILE")


def prepared(port: int) -> dict[str, str]:
    """For `broker dev`. Makes the folder and the secret."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    environ = _environ()
    return environ | {
        "PORT": str(port),
        "WEB_CONCURRENCY": environ.get("WEB_CONCURRENCY", "").strip() or "1",
    }


def existing() -> dict[str, str]:
    """For the commands with `--dev`. Raises OperatorError if `broker dev` has never run in this folder."""
    if not _database().exists():
        raise OperatorError(
            f"there is no database of `broker dev` in {_FOLDER}: start `make run` or `broker dev` here first"
        )
    environ = _environ()
    # No command of an operator asks Google, but the settings need a key.
    return environ if has_key(environ) else environ | {"GEMINI_API_KEY": "none"}


def has_key(environ: dict[str, str]) -> bool:
    return any(environ.get(name, "").strip() for name in _KEYS)


def operator_password() -> str:
    """Chosen at the first start, and printed at each."""
    return _kept("operator-password", lambda: secrets.token_urlsafe(9))


def _environ() -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not _OVERRIDDEN.fullmatch(name)}
    return environ | {
        "BROKER_DATABASE_URL": f"sqlite:///{_database().resolve()}",
        "BROKER_SECRET_KEY": _kept("secret", lambda: secrets.token_urlsafe(48)),
        "BROKER_TRUSTED_HOSTS": "127.0.0.1 localhost",
    }


def _database() -> Path:
    return _FOLDER / "broker.sqlite3"


def _kept(name: str, make: Callable[[], str]) -> str:
    path = _FOLDER / name
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(make())
    return path.read_text()
