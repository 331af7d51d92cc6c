"""docs/operations.md lists every metric; the dashboard and the alerts use only those."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from broker.standin import StandIn
from broker.telemetry.metrics import DECLARED
from tests.conftest import MakeBroker
from tests.docs.markdown import bare, rows, section
from tests.support.ports import free_port
from tests.support.process import Process, responds

DOCS = Path(__file__).parents[2] / "docs"
RULES = DOCS / "prometheus" / "rules.yml"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana" / "live-broker.json").read_text())
EXPRESSIONS = {
    (panel["title"], target["refId"]): target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


def exported() -> dict[str, tuple[str, str]]:
    """Maps the name of a scraped metric to its kind and labels."""
    at_scrape = ("broker_open_sessions", "broker_minting_suspended", "broker_config_digest")
    found = dict.fromkeys(at_scrape, ("gauge", ""))
    for metric in DECLARED.collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        found[name] = (metric.type, "")
    for collector in list(DECLARED._collector_to_names):  # the registry gives labels only for samples
        labels = ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))
        name = getattr(collector, "_name", "")
        for full in (name, f"{name}_total"):
            if full in found:
                found[full] = (found[full][0], labels)
    return found


def test_every_metric_is_documented_with_its_kind_and_labels() -> None:
    table = rows(section("docs/operations.md", "## Metrics"))
    assert {bare(name): (kind, labels) for name, kind, labels, _ in table} == exported()


def test_dashboard_and_alerts_use_existing_metrics() -> None:
    text = " ".join(EXPRESSIONS.values()) + RULES.read_text()
    asked = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bbroker_[a-z_]+", text)}
    assert asked - exported().keys() == set()
    assert exported().keys() - asked == set(), "a metric that no panel shows"


def test_dashboard_has_the_shape_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == {"datasource", "job"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} covers another panel"
        taken |= cells


def test_prometheus_accepts_the_alerts() -> None:
    checked = subprocess.run(
        ["promtool", "check", "rules", RULES], capture_output=True, text=True, timeout=30
    )
    assert checked.returncode == 0, checked.stderr


@pytest.fixture(scope="module")
def prometheus(
    standin: StandIn, make_broker: MakeBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Yields the address of a Prometheus. It scrapes a broker with one delivered token and two refusals."""
    folder = tmp_path_factory.mktemp("prometheus")
    with closing(make_broker(standin.url, warm=1)) as broker:
        broker.add_user("alice")
        broker.add_user("olga", roles=["operator"])
        with broker.client("alice") as alice:
            assert alice.post("/token").status_code == 200
            assert alice.post("/token", json={"model": "mine"}).status_code == 422
            assert alice.get("/metrics").status_code == 403
        config = {
            "global": {"scrape_interval": "500ms"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {
                    "job_name": "live-broker",
                    "authorization": {"credentials": broker.bearer("olga")},
                    "static_configs": [{"targets": [broker.url.removeprefix("http://")]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML, too
        port = free_port()
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
        ]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        url = f"http://127.0.0.1:{port}"
        process = Process(command, log_path=folder / "log", answers=lambda: responds(f"{url}/-/ready"))
        yield url
        process.end()


def ask(prometheus: str, expression: str) -> list[dict[str, Any]]:
    for variable, value in (("$job", "live-broker"), ("$__rate_interval", "1m")):
        expression = expression.replace(variable, value)
    answer = httpx2.get(
        f"{prometheus}/api/v1/query", params={"query": expression}, trust_env=False, timeout=10
    ).json()
    assert answer["status"] == "success", (expression, answer)
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def test_prometheus_scrapes_a_broker_and_answers_every_panel(prometheus: str) -> None:
    deadline = time.monotonic() + 30
    # Two scrapes make a rate.
    while time.monotonic() < deadline:
        try:
            found = ask(prometheus, "min(count_over_time(broker_tokens_total[1m]))")
            if found and float(found[0]["value"][1]) >= 3:
                break
        except (httpx2.TransportError, json.JSONDecodeError):
            pass  # Prometheus is not ready yet
        time.sleep(0.2)
    assert float(ask(prometheus, "sum(broker_tokens_total)")[0]["value"][1]) == 1
    assert float(ask(prometheus, "broker_open_sessions")[0]["value"][1]) == 1
    assert ask(prometheus, 'broker_refusals_total{code="forbidden"}')
    results = {panel: ask(prometheus, expression) for panel, expression in EXPRESSIONS.items()}
    # These need a failure of Google or a sign-in with a password, and the test has neither.
    silent = {title for (title, _), found in results.items() if not found}
    assert silent <= {"Errors of Google per minute", "Google: errors by code", "Sign-ins by outcome"}
