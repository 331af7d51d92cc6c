"""A clean copy at an odd path, as a user without a name, with `umask 077` and hardly any place to write.

As root, or where user namespaces are allowed, the file system is read-only too, apart from one data folder,
and `/dev/shm` cannot be written. Elsewhere the other conditions are tested.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from broker.standin import StandIn
from tests.support.environment import environment
from tests.support.ports import free_port
from tests.support.process import Process, responds

ROOT = Path(__file__).parents[2]
UID = 4711
# $1 is the data folder, $2 the working folder, and the rest is the command.
READ_ONLY = """set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro /
[ ! -d /dev/shm ] || mount -t tmpfs -o ro,size=4k none /dev/shm
"""
SH = ("sh", "-c")
BEGIN = """set -e
data=$1; cd "$2"; shift 2
umask 077
"""
# The capability is for a Python in a folder that only root may enter. It allows no writing.
AS_NOBODY_OF_ROOT = (
    f"exec setpriv --reuid {UID} --regid {UID} --clear-groups "
    '--inh-caps=-all,+dac_read_search --ambient-caps=+dac_read_search -- "$@"'
)
AS_NOBODY = f'exec unshare --user --map-user={UID} --map-group={UID} -- "$@"'


@dataclass(frozen=True)
class Machine:
    folder: Path
    """The checkout."""
    data: Path
    """The only folder that can be written, if `is_read_only`."""
    wrapper: tuple[str, ...]
    is_read_only: bool
    is_nameless: bool

    def command(self, *words: str) -> list[str]:
        return [*self.wrapper, str(self.data), str(self.folder), ".venv/bin/python", "-m", *words]

    def works(self) -> bool:
        """Whether this process may set the machine up, and Python starts on it."""
        probe = self.command("this")
        return (
            shutil.which(probe[0]) is not None
            and not subprocess.run(probe, capture_output=True, check=False).returncode
        )

    def run(self, *words: str, env: dict[str, str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), env=env, input=stdin, capture_output=True, text=True, check=False
        )


def machine(folder: Path) -> Machine:
    checkout = folder / "ä b%2Fc" / "live broker"
    data = folder / "dätä b%2Fc"
    data.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "broker", "web"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, checkout / name)
    (checkout / ".venv").symlink_to(sys.prefix)
    if os.getuid() == 0:
        os.chown(data, UID, UID)
    mount = ("unshare", "--mount", "--propagation", "private")
    own_user = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private")
    kinds = (
        Machine(checkout, data, (*mount, *SH, READ_ONLY + BEGIN + AS_NOBODY_OF_ROOT, "sh"), True, True),
        Machine(checkout, data, (*SH, BEGIN + AS_NOBODY_OF_ROOT, "sh"), False, True),
        Machine(checkout, data, (*own_user, *SH, READ_ONLY + BEGIN + AS_NOBODY, "sh"), True, True),
        Machine(checkout, data, (*SH, BEGIN + 'exec "$@"', "sh"), False, False),
    )
    return next(kind for kind in kinds if kind.works())


@contextmanager
def gunicorn(bare: Machine, env: dict[str, str]) -> Iterator[str]:
    url = f"http://127.0.0.1:{env['PORT']}"
    words = ["gunicorn", "--config", "python:broker.gunicorn_conf", "broker.app:create_app()"]
    process = Process(
        bare.command(*words),
        log_path=bare.folder.parent / "log",
        answers=lambda: responds(f"{url}/readyz"),
        env=env,
    )
    try:
        yield url
    finally:
        process.end()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not tmp_path: pytest closes its folders to other users, at any time."""
    with tempfile.TemporaryDirectory(prefix="broker-bare-", dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.long
def test_broker_is_set_up_and_serves(standin: StandIn, folder: Path) -> None:
    bare = machine(folder)
    env = environment(
        bare.data,
        standin.url,
        config=bare.folder / "broker" / "settings" / "broker.toml",
        BROKER_DATABASE_URL=f"sqlite:///{bare.data}/new/b.sqlite3",
        PORT=str(free_port()),
        WEB_CONCURRENCY="2",
        PATH=os.environ["PATH"],
        LANG="C",
    )

    def broker(*words: str, stdin: str = "") -> str:
        done = bare.run("broker.cli", *words, env=env, stdin=stdin)
        assert not done.returncode, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    assert "Upgraded None -> " in broker("db", "upgrade")
    checked = broker("check").splitlines()
    assert {line[:5] for line in checked} == {"ok   "}, checked
    assert broker("users", "add", "alice", stdin="a long password") == "Added alice on plan default.\n"
    with gunicorn(bare, env) as url, httpx2.Client(base_url=url, trust_env=False, timeout=60) as client:
        words = {"username": "alice", "password": "a long password"}
        bearer = client.post("/auth/login", json=words).json()["access_token"]
        client.cookies.clear()  # one credential at a time
        answer = client.post("/token", headers={"Authorization": f"Bearer {bearer}"})
        assert answer.status_code == 200
        assert client.get("/").status_code == 200
    database = bare.data / "new" / "b.sqlite3"
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    log = (bare.folder.parent / "log").read_text()
    assert "Traceback" not in log
    assert "Worker exiting" in log
    if bare.is_nameless and os.getuid() == 0:
        assert database.stat().st_uid == UID
    if bare.is_read_only:
        touch = [*bare.wrapper, str(bare.data), str(bare.folder), "touch", "/tmp/made"]
        assert b"Read-only file system" in subprocess.run(touch, capture_output=True, check=False).stderr
