"""`broker dev`: its own database, what it says at the start, and the commands that use its database."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx2
import pytest

from broker.cli.dev_greeting import Trial, upstream
from broker.cli.trial import in_plain_words
from broker.errors import Refusal
from broker.standin import StandIn
from tests.support import warm_python
from tests.support.environment import environment, write_config
from tests.support.ports import free_port
from tests.support.upstream import Upstream

ROOT = Path(__file__).parents[3]


class Dev:
    """`broker dev` in a folder of its own. `said` is everything up to "Stop with" and the line after it."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ}
        self.folder = folder
        command = [sys.executable, "-m", "broker.cli", "dev", "--port", str(self.port)]
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = ""
        for line in self._process.stdout:
            self.said += line
            if line.startswith("Stop with"):
                break
        self.said += self._process.stdout.readline() + self._process.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=60)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`broker --dev WORDS` in the same folder, without settings in the environment."""
        environ = {name: self.environ[name] for name in ("PATH", "PYTHONPATH")}
        return warm_python.run("broker.cli", ["--dev", *words], env=environ, cwd=self.folder)

    def sign_in(self, username: str, password: str) -> dict[str, str]:
        body = {"username": username, "password": password}
        answer = httpx2.post(f"{self.url}/auth/login", json=body, trust_env=False, timeout=30)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """With production settings in the environment, which it must leave alone, and without a key."""
    folder = tmp_path_factory.mktemp("dev")
    production = {
        "BROKER_DATABASE_URL": f"sqlite:///{folder}/production.sqlite3",
        "BROKER_SECRET_KEY_FILE": str(folder / "secret"),
        "BROKER_ALLOWED_ORIGINS": "http://localhost:5173",
    }
    with Dev(folder, **production) as running:
        yield running


def test_configured_database_gets_no_demo_user(dev: Dev) -> None:
    """The README publishes the demo password, so in a production database it would let anyone in."""
    assert (dev.folder / "var" / "dev" / "broker.sqlite3").exists()
    assert not (dev.folder / "production.sqlite3").exists()


def test_greeting_names_the_pages_the_sign_ins_and_how_to_talk_to_google(dev: Dev) -> None:
    for line in (
        f"Live Broker   {dev.url}",
        "Sign in as    demo / demo-password",
        f"Operators     {dev.url}/ops",
        f"Every route   {dev.url}/docs",
        "Your origins  http://localhost:5173 (BROKER_ALLOWED_ORIGINS: ",
        "Commands      broker --dev users list",
        "(GEMINI_API_KEY is not set)",
        "Demo mode: a local stand-in repeats what you say. Set GEMINI_API_KEY to talk to Gemini.",
    ):
        assert line in dev.said, dev.said
    assert "stand-in for Google" not in dev.said, "the stand-in's own greeting"


def test_printed_operator_may_do_what_operators_do(dev: Dev) -> None:
    (password,) = re.findall(r"^Sign in as    operator / (\S+)$", dev.said, re.MULTILINE)
    headers = dev.sign_in("operator", password)
    answer = httpx2.get(f"{dev.url}/admin/users", headers=headers, trust_env=False, timeout=30)
    assert {user["name"] for user in answer.json()["users"]} == {"demo", "operator"}
    kept = dev.folder / "var" / "dev" / "operator-password"
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == (password, 0o600)


def test_commands_reach_the_development_database_without_settings(dev: Dev) -> None:
    listed = dev.command("users", "list")
    assert listed.returncode == 0, listed.stderr
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["username", "demo", "operator"]
    assert dev.command("audit", "--action", "user.add").stdout.count("user=") == 2
    refused = warm_python.run("broker.cli", ["users", "list"], env={"PATH": os.environ["PATH"]})
    assert "GEMINI_API_KEY" in refused.stderr


def test_commands_name_what_is_missing_where_it_never_ran(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"]}
    refused = warm_python.run("broker.cli", ["--dev", "users", "list"], env=environ, cwd=tmp_path)
    assert (refused.returncode, list(tmp_path.iterdir())) == (1, [])
    assert refused.stderr.startswith("Error: there is no database of `broker dev` in var/dev: ")


def test_key_that_does_not_work_is_reported_and_stops_nothing(tmp_path: Path, standin: StandIn) -> None:
    wrong = {"GEMINI_API_KEY": "invalid-key", "BROKER_LIVE_URL": standin.url}
    with Dev(tmp_path, **wrong) as dev:
        assert f"Talking to    the stand-in at {standin.url} (BROKER_LIVE_URL)" in dev.said
        assert f"{standin.url}: API key not valid. Check GEMINI_API_KEY" in dev.said
        assert "GEMINI_API_KEY is not set" not in dev.said
        assert "Demo mode" not in dev.said
        assert httpx2.get(f"{dev.url}/healthz", trust_env=False, timeout=30).status_code == 200


def variables(folder: Path, live_url: str) -> dict[str, str]:
    return environment(folder, live_url, config=write_config(folder))


def test_network_fault_and_refusals_are_told_in_plain_words(tmp_path: Path, standin: StandIn) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert Trial(variables(tmp_path, nowhere)).result() == (
        f"{nowhere}: not reachable (ConnectError). Check the network."
    )
    worked = Trial(variables(tmp_path, standin.url)).result()
    assert worked is not None
    assert worked.startswith(f"{standin.url}: the key works, tokens are for models/")


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            Refusal("upstream-rejected", reason="HTTP 400 INVALID_ARGUMENT API_KEY_INVALID"),
            "API key not valid.",
        ),
        (Refusal("upstream-rejected", reason="HTTP 403 PERMISSION_DENIED"), "request refused (HTTP 403"),
        (Refusal("upstream-quota", reason="HTTP 429"), "the quota of this key's project is used up"),
        (Refusal("upstream-timeout", reason="ConnectTimeout"), "no answer in time. Check the network."),
        (Refusal("upstream-error", reason="HTTP 503 UNAVAILABLE"), "failed (HTTP 503 UNAVAILABLE)"),
        (
            Refusal("upstream-error", reason="ConnectError"),
            "not reachable (ConnectError). Check the network.",
        ),
    ],
)
def test_words_for_each_kind_of_failure(refusal: Refusal, words: str) -> None:
    assert in_plain_words(refusal).startswith(words)


def test_upstream_is_called_a_stand_in_only_if_it_is_one(standin: StandIn) -> None:
    """A proxy to Google may listen on loopback too."""
    with Upstream() as proxy:
        said = upstream({"BROKER_LIVE_URL": proxy.url}, has_key=True)
        assert said == f"{proxy.url} (BROKER_LIVE_URL)"
    assert upstream({"BROKER_LIVE_URL": standin.url}, has_key=True).startswith("the stand-in at ")
    assert upstream({}, has_key=True) == "Google"


def test_port_in_use_is_reported_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PORT": port}
        command = [sys.executable, "-m", "broker.cli", "dev"]
        dev = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert dev.returncode == 1
    assert dev.stderr == (
        f"Port {port} is not available: Address already in use. "
        "Choose another one: PORT=8081 make run, or broker dev --port 8081.\n"
    )


@pytest.mark.parametrize("missing", ["aiohttp", "aiohttp.web", "yarl"])
@pytest.mark.parametrize("command", ["standin", "dev"])
def test_commands_without_the_stand_ins_packages_name_the_extra(
    tmp_path: Path, command: str, missing: str
) -> None:
    """A real installation without them is in tests/docs/test_readme_runs.py."""
    import_main = "from broker.cli.main import main"
    script = f"import sys; {import_main}; sys.modules['{missing}'] = None; main()"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    words = [sys.executable, "-c", script, command]
    refused = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr.startswith("The stand-in is not part of this installation.")
    assert refused.stderr.endswith(f"Missing: {missing}.\n")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("missing", ["aiohttp", "yarl"])
def test_module_without_its_packages_explains_it(tmp_path: Path, missing: str) -> None:
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('gone', name='{missing}')")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3]}"}
    words = [sys.executable, "-m", "broker.standin"]
    refused = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert refused.stderr == f"The stand-in needs the extra `standin` ({missing} is missing).\n"
