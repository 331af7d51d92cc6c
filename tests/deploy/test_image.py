"""What the image does at run time, without a container engine: another user ID, no shell, read-only files.

The packages are those of the tests' environment, and the broker is installed from its wheel.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest

from broker.standin import StandIn
from tests.deploy.files import ROOT, compose, instructions, procfile, unit
from tests.support.environment import environment
from tests.support.ports import free_port
from tests.support.process import Process, responds
from tests.support.stores import Stores

# Any user ID. It may read everything, because the tests' folders are closed, and write nothing of root's.
_OTHER_USER = shlex.split(
    "--reuid=64321 --regid=64321 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
)


def as_another_user() -> list[str]:
    """Only root can become another user. Otherwise the tests run as the user that they have."""
    setpriv = shutil.which("setpriv")
    return [setpriv, *_OTHER_USER] if os.geteuid() == 0 and setpriv else []


def image_environment(venv: Path) -> dict[str, str]:
    """What the stages `base` and `broker` set."""
    found: dict[str, str] = {}
    for stage in ("base", "broker"):
        for text in instructions(stage, "ENV"):
            found |= dict(item.split("=", 1) for item in shlex.split(text))
    return found | {"PATH": found["PATH"].replace("/opt/live-broker", str(venv)).replace("$PATH", "")}


class Container:
    """The image's commands under its environment, in a working folder without write permission."""

    def __init__(self, venv: Path, folder: Path, settings: dict[str, str]) -> None:
        self._venv, self._folder = venv, folder
        self.port = free_port()
        self.environ = {**image_environment(venv), **settings, "PORT": str(self.port)}

    def command(self, words: list[str]) -> list[str]:
        program, *rest = words
        return [*as_another_user(), str(self._venv / "bin" / program), *rest]

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(words),
            cwd=self._folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self, words: list[str], log: Path) -> Process:
        return Process(
            self.command(words),
            log_path=log,
            answers=lambda: responds(f"http://127.0.0.1:{self.port}/readyz"),
            cwd=self._folder,
            env=self.environ,
        )


@pytest.fixture(scope="module")
def container(
    wheel_venv: Path, stores: Stores, standin: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> Container:
    folder = tmp_path_factory.mktemp("image")
    settings = environment(folder, standin.url) | stores.empty("postgresql+redis").environ
    settings |= {"BROKER_TRUSTED_HOSTS": "127.0.0.1", "WEB_CONCURRENCY": "1"}
    work = folder / "work"
    work.mkdir(mode=0o555)
    return Container(wheel_venv, work, settings)


@pytest.mark.long
def test_migration_runs_as_any_user_and_twice(container: Container) -> None:
    for _ in range(2):
        ran = container.run(compose()["services"]["migrate"]["command"])
        assert ran.returncode == 0, ran.stderr


def test_it_serves_with_nothing_but_shared_memory_to_write_to(container: Container, tmp_path: Path) -> None:
    """Starts the image's command, asks for the page, and runs the image's own health check."""
    assert container.run(procfile("release")).returncode == 0
    check = instructions("broker", "HEALTHCHECK")[0].partition("CMD ")[2]
    process = container.start(json.loads(instructions("broker", "CMD")[0]), tmp_path / "log")
    try:
        page = httpx2.get(f"http://127.0.0.1:{container.port}/", trust_env=False, timeout=30)
        assert "/bundle/demo/main.js" in page.text
        assert container.run(json.loads(check)).returncode == 0
        assert "metrics_not_shared" not in process.log
    finally:
        process.end()
    assert list(container._folder.iterdir()) == []
    assert container.run(json.loads(check)).returncode == 1, "nothing answers any more"


@pytest.mark.long
def test_units_command_starts_after_its_preparation(
    wheel_venv: Path, standin: StandIn, tmp_path: Path
) -> None:
    """With SQLite in the state folder, as docs/deploy/systemd.md begins."""
    settings = environment(tmp_path, standin.url)
    del settings["BROKER_DATABASE_URL"]
    port = free_port()
    environ = {"PATH": os.environ["PATH"], **settings, "WEB_CONCURRENCY": "1"}

    def words(line: str) -> list[str]:
        moved = line.replace("/opt/live-broker", str(wheel_venv)).replace(
            "127.0.0.1:8080", f"127.0.0.1:{port}"
        )
        return moved.split()

    (prepare,), (start,) = unit()["ExecStartPre"], unit()["ExecStart"]
    ran = subprocess.run(
        words(prepare), cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    process = Process(
        words(start),
        log_path=tmp_path / "log",
        answers=lambda: responds(f"http://127.0.0.1:{port}/readyz"),
        cwd=tmp_path,
        env=environ,
    )
    process.end()
    assert (tmp_path / "var/broker.sqlite3").exists()


@pytest.mark.long
def test_build_steps_of_the_image_run(tmp_path: Path) -> None:
    """The RUN lines of the stages `bundle` and `build`, in a folder, not the root. Needs the network."""
    shown = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *shown],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    source = tmp_path / "src"
    for name in filter(None, names):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for stage in ("bundle", "build"):
        for step in instructions(stage, "RUN"):
            step = re.sub(r"(?<![\w./])/(?=opt/|wheel)", f"{tmp_path}/", step)
            ran = subprocess.run(
                ["sh", "-c", step], cwd=source, env=environ, capture_output=True, text=True, timeout=600
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
    for venv in ("standin", "live-broker"):
        broker = [*as_another_user(), str(tmp_path / "opt" / venv / "bin/broker"), "--version"]
        ran = subprocess.run(broker, cwd="/", env=environ, capture_output=True, text=True, timeout=60)
        assert ran.stdout.startswith("broker, version "), ran.stderr
