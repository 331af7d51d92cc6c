"""`broker reload` under load: every worker follows the new document, and a broken one changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from broker.standin import StandIn
from tests.faults.test_one_document_in_force import CALLERS, policies, traffic
from tests.support.environment import environment, write_config
from tests.support.servers import BrokerServer


@pytest.fixture(scope="module")
def server(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerServer]:
    """As a program of its own: the command looks for its words in the list of processes."""
    folder = tmp_path_factory.mktemp("broker")
    config = write_config(folder, rate="90000/minute", project_sessions=100_000)
    environ = environment(folder, standin.url, config=config)
    with BrokerServer(folder, environ, through=["nice", "-n", "0"]) as running:
        for name in ("alice", *CALLERS):
            running.add_user(name)
        yield running


def reload(server: BrokerServer, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "broker.cli", "reload", *words]
    return subprocess.run(
        command, env={**server.environ, **environ}, capture_output=True, text=True, timeout=120
    )


def digest(server: BrokerServer) -> str:
    return str(httpx2.get(f"{server.url}/readyz", trust_env=False, timeout=20).json()["config_digest"])


def test_reload_waits_for_every_worker_and_a_broken_document_changes_nothing(server: BrokerServer) -> None:
    path, before, workers = Path(server.environ["BROKER_CONFIG"]), digest(server), set(server.workers())
    first, pid = path.read_text(), ("--pid", str(server.pid))
    with traffic(server) as outcomes:
        path.write_text("[plans.default]\nrate =")
        done = reload(server, *pid)
        assert done.returncode == 2
        assert "is not TOML" in done.stderr
        assert (digest(server), set(server.workers())) == (before, workers), "nothing was signalled"

        path.write_text(first.replace('"90000/minute"', '"80000/minute"'))
        done = reload(server, *pid)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"In force: {digest(server)} (before: {before}).\n"
        assert digest(server) != before
        assert not workers & set(server.workers())
        assert policies(server) == {"80000/minute"}
    assert set(outcomes) == {200}
    assert len(outcomes) > 20


def test_server_that_reads_another_document_is_noticed(server: BrokerServer, tmp_path: Path) -> None:
    other = tmp_path / "broker.toml"
    other.write_text(Path(server.environ["BROKER_CONFIG"]).read_text().replace("0000/minute", "0001/minute"))
    done = reload(server, "--pid", str(server.pid), BROKER_CONFIG=str(other))
    assert done.returncode == 1
    assert done.stderr.startswith(f"The server follows {digest(server)}; the digest here is ")


def test_master_is_found_by_its_command_line(server: BrokerServer) -> None:
    """Also beside the servers of other tests: then the command lists them."""
    done = reload(server)
    if done.returncode == 0:
        assert done.stdout == f"In force: {digest(server)}, as before.\n"
    else:
        assert str(server.pid) in done.stderr
        assert "Name one with --pid" in done.stderr
