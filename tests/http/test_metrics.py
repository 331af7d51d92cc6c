"""GET /metrics: the totals of all workers, for callers that may see them."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from broker.errors import Refusal
from broker.operators.keys import KeyAdmin
from broker.parts import parts_of
from broker.standin import StandIn
from broker.telemetry.metrics import DECLARED
from broker.telemetry.store_gauge import StoreGauge
from tests.conftest import MakeBroker
from tests.http.conftest import bearer
from tests.support.servers import BrokerServer

ASKED = 40
NARROW = """
[plans.narrow]
rate = "5/minute"
sessions = 1000
minutes_per_day = 10000
session_minutes = 30
"""


@pytest.fixture(scope="module")
def busy(standin: StandIn, make_broker: MakeBroker) -> Iterator[BrokerServer]:
    """A broker with 4 workers. alice has requested 40 tokens. So has bob, whose limit is 5."""
    with closing(make_broker(standin.url, workers=4, toml=NARROW)) as server:
        server.add_user("alice")
        server.add_user("bob", plan="narrow")
        server.add_user("olga", roles=["operator"])
        for name in ("alice", "bob"):
            headers = {"Authorization": f"Bearer {server.bearer(name)}"}

            def ask(_: int, headers: dict[str, str] = headers) -> int:
                return httpx2.post(
                    f"{server.url}/token", headers=headers, trust_env=False, timeout=60
                ).status_code

            with ThreadPoolExecutor(8) as threads:
                list(threads.map(ask, range(ASKED)))
        yield server


def scrape(server: BrokerServer) -> dict[str, float]:
    """Each sample by its name and labels, as Prometheus reads it."""
    with server.client("olga") as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return samples(answer.text)


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_metrics_are_the_exact_sum_over_workers(busy: BrokerServer) -> None:
    found = scrape(busy)
    assert found["broker_tokens_total{profile=default}"] == ASKED + 5
    assert found["broker_refusals_total{code=rate-limited}"] == ASKED - 5
    assert found["broker_mint_seconds_count{outcome=ok}"] == ASKED + 5
    assert found["broker_http_requests_total{method=POST,route=/token,status=200}"] == ASKED + 5
    assert found["broker_http_requests_total{method=POST,route=/token,status=429}"] == ASKED - 5
    assert found["broker_limiter_seconds_count"] == 2 * ASKED
    assert found["broker_open_sessions"] == ASKED + 5
    assert found["broker_store_seconds_count{kind=write}"] > 2 * ASKED


def test_counts_of_a_killed_worker_remain(busy: BrokerServer) -> None:
    before = scrape(busy)
    victim = busy.workers()[0]
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while (victim in busy.workers() or len(busy.workers()) < 4) and time.monotonic() < deadline:
        time.sleep(0.1)
    after = scrape(busy)
    kept = {name for name in before if "_total" in name or "_count" in name or "_bucket" in name}
    assert all(after[name] >= before[name] for name in kept)


def test_metrics_folder_is_removed_with_the_broker(standin: StandIn, make_broker: MakeBroker) -> None:
    server = make_broker(standin.url)
    mapped = Path(f"/proc/{server.workers()[0]}/maps").read_text()
    folders = {Path(match).parent for match in re.findall(r"/dev/shm/live-broker-metrics-\S+", mapped)}
    assert len(folders) == 1
    server.close()
    assert not any(folder.exists() for folder in folders)


@pytest.mark.parametrize(
    "accept", ["", "application/openmetrics-text; version=1.0.0", "text/plain; version=1.0.0"]
)
def test_metrics_have_the_format_that_the_scraper_accepts(
    app: Flask, client: FlaskClient, accept: str
) -> None:
    answer = client.get("/metrics", headers={**bearer(app, "olga"), "Accept": accept})
    assert answer.status_code == 200
    assert accept.split(";")[0] in answer.headers["Content-Type"]


def test_only_operators_and_keys_with_the_scope_see_metrics(app: Flask, client: FlaskClient) -> None:
    def answer_to(headers: dict[str, str]) -> tuple[int, Any]:
        answer = client.get("/metrics", headers=headers)
        return answer.status_code, (answer.get_json(silent=True) or {}).get("code")

    def key(name: str, scope: str) -> dict[str, str]:
        parts = parts_of(app)
        made = KeyAdmin(parts.settings, parts.database, actor="cli:olga").create(name, scopes=[scope])
        return {"X-API-Key": made.secret}

    assert answer_to({}) == (401, "missing-credentials")
    assert answer_to(bearer(app)) == (403, "forbidden")
    assert answer_to(key("shop", "token")) == (403, "forbidden")
    assert answer_to(key("prometheus", "metrics")) == (200, None)
    assert answer_to(bearer(app, "olga")) == (200, None)


def test_gauge_is_absent_while_store_does_not_answer() -> None:
    """A missing figure is noticed. A wrong one is believed."""

    def silent() -> int:
        raise Refusal("store-unavailable")

    assert list(StoreGauge("name", "help", silent).collect()) == []
    (metric,) = StoreGauge("name", "help", lambda: 3).collect()
    assert metric.samples[0].value == 3


def test_labels_come_from_closed_sets(app: Flask, client: FlaskClient) -> None:
    """An invented address or method does not create a new series."""
    for path, method in (
        ("/made/up/by/mallory", "GET"),
        ("/token", "MALLORY"),
        ("/sessions/ses_mallory/end", "POST"),
    ):
        client.open(path, method=method)
    text = client.get("/metrics", headers=bearer(app, "olga")).get_data(as_text=True)
    assert "mallory" not in text.lower()
    names = {metric.name for metric in DECLARED.collect()}
    assert names <= {family.name for family in text_string_to_metric_families(text)}
