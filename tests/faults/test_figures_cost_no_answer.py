"""The metrics folder vanishes while the broker runs: workers that start afterwards still answer."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

from broker.standin import StandIn
from tests.conftest import MakeBroker


def test_new_workers_answer_without_the_metrics_folder(
    standin: StandIn, make_broker: MakeBroker, tmp_path: Path
) -> None:
    (tmp_path / "counter_1.db").write_bytes(b"of an earlier run")
    server = make_broker(standin.url, workers=1, env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)})
    with closing(server):
        server.add_user("alice")
        server.add_user("olga", roles=["operator"])
        with server.client("olga") as olga:
            assert olga.get("/metrics").status_code == 200
        (made,) = tmp_path.glob("live-broker-metrics-*")
        shutil.rmtree(made)
        (victim,) = server.workers()
        os.kill(victim, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while server.workers() in ([], [victim]) and time.monotonic() < deadline:
            time.sleep(0.05)
        with server.client("alice") as alice, server.client("olga") as olga:
            assert alice.post("/token").status_code == 200
            assert "broker_tokens_total" in olga.get("/metrics").text
    assert [path.name for path in tmp_path.iterdir()] == ["counter_1.db"]
