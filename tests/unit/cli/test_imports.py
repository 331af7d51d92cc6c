"""A command loads the libraries that it works with, and no others: this is most of the time that it takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environment import environment

LARGE = {
    "alembic", "argon2", "attr", "cryptography", "flask", "google.genai", "gunicorn", "httpx2", "jwt",
    "limits", "prometheus_client", "psycopg", "pydantic", "redis", "rich", "sqlalchemy",
    "sqlalchemy.dialects.postgresql", "structlog", "aiohttp", "websockets",
    "opentelemetry",
}  # fmt: skip
SCRIPT = """
import sys
from broker.cli.main import main
words = sys.argv[1:]
try:
    while True:
        sys.argv[1:] = words[: words.index(";")] if ";" in words else words
        main()
        if ";" not in words:
            break
        del words[: words.index(";") + 1]
finally:
    print(",".join(sys.modules), file=sys.stderr)
"""


def loaded(words: list[str], **environ: str) -> set[str]:
    """The large libraries in memory at the end of a command, or of several with ";" between them."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return LARGE & set(done.stderr.splitlines()[-1].split(","))


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["users", "--help"],
        ["check", "--help"],
        ["probe", "--help"],
        ["completion", "bash"],
    ],
)
def test_help_loads_no_large_library(words: list[str]) -> None:
    assert loaded(words) == set()


@pytest.mark.parametrize("typed", ["broker us", "broker users bl", "broker limits set alice --min"])
def test_completion_of_a_command_or_an_option_loads_no_large_library(typed: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    assert loaded([], _BROKER_COMPLETE="bash_complete", **words) == set()


def test_lists_load_only_the_database_and_completion_of_a_name_also_the_settings(tmp_path: Path) -> None:
    """Not the driver of another database, and nothing that parses `broker.toml` or measures a server."""
    environ = environment(tmp_path, "http://127.0.0.1:9")
    assert "alembic" in loaded(["db", "upgrade"], **environ)
    lists = "users list ; limits list ; keys list ; blocks list ; audit"
    assert loaded(lists.split(), **environ) == {"sqlalchemy"}
    words = {"COMP_WORDS": "broker users block al", "COMP_CWORD": "3"}
    names = loaded([], _BROKER_COMPLETE="bash_complete", **words, **environ)
    assert names == {"sqlalchemy", "pydantic", "limits"}
