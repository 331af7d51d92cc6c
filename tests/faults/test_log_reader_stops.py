"""The program that reads the broker's log stops: tokens are minted as before, and the broker still ends."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from broker.standin import StandIn
from broker.store.database import migrate
from tests.support.environment import environment
from tests.support.process import responds
from tests.support.servers import BrokerServer

GUNICORN = ["-m", "gunicorn", "--config", "python:broker.gunicorn_conf", "broker.app:create_app()"]


def test_tokens_are_minted_while_nobody_reads_the_log(standin: StandIn, tmp_path: Path) -> None:
    server = BrokerServer(tmp_path, environment(tmp_path, standin.url), workers=1)
    migrate.upgrade(server.database)
    server.add_user("alice")
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([sys.executable, *GUNICORN], env=server.environ, stderr=write)
    os.close(write)
    try:
        deadline = time.monotonic() + 60
        while not responds(f"{server.url}/healthz") and time.monotonic() < deadline:
            time.sleep(0.1)
        with server.client("alice") as alice:
            # Far more than 4096 bytes of lines.
            assert {alice.post("/token").status_code for _ in range(40)} == {200}
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(read)
        server.database.dispose()
