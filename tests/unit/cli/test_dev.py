"""`broker dev` uses only its own database and secret, and explains a port that is in use."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port


def test_configured_database_gets_no_demo_user(tmp_path: Path) -> None:
    """The README publishes the demo password, so in a production database it would let anyone in."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "BROKER_DATABASE_URL": f"sqlite:///{tmp_path}/production.sqlite3",
        "BROKER_SECRET_KEY_FILE": str(tmp_path / "secret"),
    }
    command = [sys.executable, "-m", "broker.cli", "dev", "--port", str(free_port())]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as dev:
        assert dev.stdout is not None
        try:
            printed = next(line for line in dev.stdout if line.startswith(("Sign in as", "Live Broker")))
        finally:
            dev.send_signal(signal.SIGTERM)
            dev.stdout.read()
    assert printed
    assert (tmp_path / "var" / "dev" / "broker.sqlite3").exists()
    assert not (tmp_path / "production.sqlite3").exists()


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
