"""Measures how fast POST /token is: `python -m tests.load.bench_mint`, or `make bench`.

16 clients with kept connections call gunicorn (4 workers), whose upstream takes 50 ms. The same run measures
the upstream alone with the same clients, so compare ratios.
"""

from __future__ import annotations

import http.client
import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from broker.standin import StandIn
from tests.support.environment import environment, write_config
from tests.support.servers import BrokerServer

CLIENTS, USERS, SECONDS, ROUNDS, UPSTREAM_SECONDS = 16, 50, 3.0, 3, 0.05
Call = Callable[[http.client.HTTPConnection], int]


def drive(url: str, call: Call, clients: int = CLIENTS) -> tuple[float, float, float, int]:
    """Returns responses per second, p50 ms, p95 ms, and how many responses were not 200."""
    times: list[float] = []
    bad = [0]
    until = time.perf_counter() + SECONDS

    def run() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        mine: list[float] = []
        while time.perf_counter() < until:
            start = time.perf_counter()
            status = call(connection)
            mine.append((time.perf_counter() - start) * 1000)
            bad[0] += status != 200
        connection.close()
        times.extend(mine)

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(times, n=20)
    return len(times) / SECONDS, cuts[9], cuts[18], bad[0]


def post(path: str, headers: dict[str, str], body: bytes = b"") -> Call:
    def call(connection: http.client.HTTPConnection) -> int:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    return call


def main() -> None:
    rows: dict[str, list[tuple[float, float, float, int]]] = {}
    with tempfile.TemporaryDirectory() as name, StandIn(port=0) as standin:
        folder = Path(name)
        standin.control.scenario("mint-slow", seconds=UPSTREAM_SECONDS)
        config = write_config(folder, rate="1000000/minute")
        with BrokerServer(
            folder, environment(folder, standin.url, config=config), workers=4, threads=16
        ) as broker:
            for user in range(USERS):
                broker.add_user(f"user{user}")
            bearers = itertools.cycle([broker.bearer(f"user{user}") for user in range(USERS)])

            def as_next_user(connection: http.client.HTTPConnection) -> int:
                return post("/token", {"Authorization": f"Bearer {next(bearers)}"})(connection)

            mint = post(
                "/v1alpha/auth_tokens", {"x-goog-api-key": "bench", "Content-Type": "application/json"}, b"{}"
            )
            forged = post("/token", {"Authorization": "Bearer e30.e30.e30"})
            for _ in range(ROUNDS):
                rows.setdefault("upstream alone", []).append(drive(standin.url, mint))
                rows.setdefault("POST /token", []).append(drive(broker.url, as_next_user))
                rows.setdefault("POST /token, forged (401)", []).append(drive(broker.url, forged))
    print(
        f"{'':28}{'per s':>8}{'p50 ms':>9}{'p95 ms':>9}{'not 200':>9}   medians of {ROUNDS}", file=sys.stdout
    )
    for label, results in rows.items():
        rate, p50, p95, bad = (statistics.median(column) for column in zip(*results, strict=True))
        print(f"{label:28}{rate:8.0f}{p50:9.1f}{p95:9.1f}{bad:9.0f}")


if __name__ == "__main__":
    main()
