"""Commands on unusual machines: no user name, no place for the database, no letters."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from broker.cli.output import actor
from broker.store.database import migrate
from broker.store.database.engine import Database
from tests.support import warm_python
from tests.support.environment import environment
from tests.support.ports import free_port

COMMANDS = [("db", "upgrade"), ("users", "list"), ("users", "block", "alice"), ("token", "alice"), ("check",)]


def run(environ: dict[str, str], *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return warm_python.run("broker.cli", words, env={**environ, "PATH": os.environ["PATH"]}, stdin=stdin)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("kind", ["file in the way", "folder", "unwritable"])
def test_database_that_cannot_be_written_is_one_line_with_path_and_reason(
    tmp_path: Path, words: Sequence[str], kind: str
) -> None:
    (tmp_path / "blocked").touch()
    path, reason = {
        "file in the way": (tmp_path / "blocked" / "x.sqlite3", "File exists"),
        "folder": (tmp_path, "Is a directory"),
        "unwritable": (Path("/proc/broker/x.sqlite3"), "No such file or directory"),
    }[kind]
    environ = environment(tmp_path, "http://127.0.0.1:9", BROKER_DATABASE_URL=f"sqlite:///{path}")
    done = run(environ, *words)
    said = done.stdout if words == ("check",) else done.stderr
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in said.splitlines() if "store-unavailable" in line]
    assert f"{path}: {reason}" in line


def test_command_on_a_dead_server_says_why(tmp_path: Path) -> None:
    url = f"postgresql://me:a-long-password@127.0.0.1:{free_port()}/x"
    done = run(environment(tmp_path, "http://127.0.0.1:9", BROKER_DATABASE_URL=url), "db", "upgrade")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
    assert "a-long-password" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_gunicorn_names_a_database_that_cannot_be_written(tmp_path: Path) -> None:
    environ = environment(tmp_path, "http://127.0.0.1:9", BROKER_DATABASE_URL=f"sqlite:///{tmp_path}")
    words = ["--config", "python:broker.gunicorn_conf", "broker.app:create_app()"]
    done = warm_python.run("gunicorn", words, env={**environ, "PATH": os.environ["PATH"]})
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "The broker cannot start:",
        f"  - BROKER_DATABASE_URL: {tmp_path}: Is a directory",
    ]


def test_database_is_readable_for_its_owner_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/x.sqlite3"
    before = os.umask(0)
    try:
        database = Database(url)
        migrate.upgrade(database)
    finally:
        os.umask(before)
    files = list((tmp_path / "new").iterdir())
    assert {path.name for path in files} == {"x.sqlite3", "x.sqlite3-wal", "x.sqlite3-shm"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    database.dispose()


def test_write_ahead_log_shrinks_after_a_long_read(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite3"
    with closing(Database(f"sqlite:///{path}").engine.raw_connection()) as writer:
        writer.cursor().execute("CREATE TABLE big (x)")
        reader = Database(f"sqlite:///{path}").engine.connect()
        reader.exec_driver_sql("BEGIN")
        reader.exec_driver_sql("SELECT count(*) FROM big").scalar_one()
        for _ in range(40):
            writer.cursor().execute("INSERT INTO big VALUES (zeroblob(1000000))")
        log = Path(f"{path}-wal")
        assert log.stat().st_size > 32 << 20
        reader.close()
        for _ in range(3):
            writer.cursor().execute("INSERT INTO big VALUES (zeroblob(5000000))")
        assert log.stat().st_size <= 16 << 20
    reader.engine.dispose()


def test_terminal_without_the_letters_gets_escapes(tmp_path: Path) -> None:
    environ = environment(tmp_path, "http://127.0.0.1:9")
    assert run(environ, "db", "upgrade").returncode == 0
    limited = {**environ, "PYTHONIOENCODING": "latin-1", "PATH": os.environ["PATH"]}
    words = ["blocks", "add", "--issuer", "live-broker", "--jti", "Ωmega"]
    command = [sys.executable, "-m", "broker.cli", *words]
    done = subprocess.run(command, env=limited, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Blocked the token \\u03a9mega of live-broker.\n"


def test_password_may_begin_with_a_byte_order_mark_and_is_utf_8(tmp_path: Path) -> None:
    environ = environment(tmp_path, "http://127.0.0.1:9", PATH=os.environ["PATH"])
    latin = {**environ, "PYTHONIOENCODING": "latin-1"}
    assert run(environ, "db", "upgrade").returncode == 0

    def add(name: str, password: bytes) -> subprocess.CompletedProcess[bytes]:
        words = [sys.executable, "-m", "broker.cli", "users", "add", name]
        return subprocess.run(words, env=latin, input=password, capture_output=True, check=False)

    assert add("alice", b"\xef\xbb\xbfa long passw\xc3\xb6rd\n").returncode == 0
    refused = add("bob", b"a long passw\xf6rd\n")
    assert (refused.returncode, refused.stderr) == (1, b"Error: the password is not UTF-8\n")


def test_user_id_without_a_name_is_the_actor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert actor() == "cli:uid-54321"


@pytest.mark.parametrize("text", ["", "1.5"])
def test_release_step_names_a_number_of_workers_that_ends_gunicorn(tmp_path: Path, text: str) -> None:
    """gunicorn itself ends with a traceback, before it reads our configuration."""
    done = run(environment(tmp_path, "http://127.0.0.1:9", WEB_CONCURRENCY=text), "db", "upgrade")
    assert done.returncode == 2
    assert "  - WEB_CONCURRENCY " in done.stderr
    assert "Traceback" not in done.stderr
