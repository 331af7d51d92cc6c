"""Schemathesis asks a real broker for all that /openapi.json promises, and checks each answer against it.

The seed is fixed, so a failure comes again; its text has the request.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.principal import OWN_ISSUER, principal_key
from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.servers import BrokerServer

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_suffix(".toml").with_name("openapi_fuzz.toml")
PLENTY = """
[plans.plenty]
rate = "1000000/minute"
sessions = 1000000
minutes_per_day = 1440000
session_minutes = 30
"""


@dataclass(frozen=True)
class Run:
    """`examples` are for each operation and phase; `least` is the number of requests that they must make."""

    operations: tuple[str, ...]
    examples: int
    least: int


_USER = (
    "--include-tag",
    "Tokens and sessions",
    "--include-tag",
    "The caller",
    "--include-tag",
    "The service",
)
_KEY = ("--include-path", "/token", "--include-path", "/me", "--include-path", "/sessions/{session_id}/end")
_OPERATOR = ("--include-tag", "Operators", "--include-path", "/token", "--include-path", "/metrics")
# The operator comes last, because it suspends minting.
FAST = {
    "user": Run((*_USER, "--phases", "fuzzing"), 10, 100),
    "operator": Run((*_OPERATOR, "--phases", "fuzzing"), 4, 100),
}
_2_000 = {
    "anyone": Run(("--phases", "fuzzing"), 4, 120),
    "user": Run(_USER, 10, 660),
    "service key": Run(_KEY, 5, 120),
    "operator": Run(_OPERATOR, 8, 1100),
}
# Two requests at a time: the order differs from run to run, the requests do not.
_20_000 = {
    "anyone": Run(("--workers", "2"), 100, 4000),
    "user": Run((*_USER, "--workers", "2"), 300, 4500),
    "service key": Run((*_KEY, "--workers", "2"), 300, 700),
    "operator": Run((*_OPERATOR, "--workers", "2"), 660, 11_000),
}
# Before a release: FUZZ=20000.
LONG = {"2000": _2_000, "20000": _20_000}[os.environ.get("FUZZ", "2000")]


@pytest.fixture(scope="module")
def broker(standin: StandIn, make_broker: MakeBroker) -> BrokerServer:
    server = make_broker(standin.url, workers=1, threads=4, toml=PLENTY, project_sessions=1_000_000)
    for name in ("alice", "bob"):
        server.add_user(name, plan="plenty")
    for name in ("olga", "otto"):
        server.add_user(name, plan="plenty", roles=["operator"])
    return server


@pytest.mark.parametrize("caller", FAST)
def test_answers_are_as_documented(broker: BrokerServer, tmp_path: Path, caller: str) -> None:
    _fuzz(broker, tmp_path / "report.json", caller, FAST[caller])


@pytest.mark.long
@pytest.mark.parametrize("caller", LONG)
def test_more_answers_are_as_documented(broker: BrokerServer, tmp_path: Path, caller: str) -> None:
    _fuzz(broker, tmp_path / "report.json", caller, LONG[caller])


def test_runs_are_as_large_as_promised() -> None:
    assert sum(run.least for run in _2_000.values()) >= 2000
    assert sum(run.least for run in _20_000.values()) >= 20_000


def _fuzz(broker: BrokerServer, report: Path, caller: str, run: Run) -> None:
    before = len(broker.log)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
            *(f"{broker.url}/openapi.json", "--generation-deterministic", "--no-color"),
            *("--max-examples", str(run.examples), *_credential(broker, caller), *run.operations),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=ROOT,
        env={**os.environ, **_environment(broker, caller)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())["test_cases"]
    print(f"{caller}: {found['generated']} requests")
    assert found["generated"] >= run.least
    assert found["errored"] == 0
    assert "Traceback" not in broker.log[before:]


def _credential(broker: BrokerServer, caller: str) -> tuple[str, ...]:
    if caller == "anyone":
        return ()
    if caller == "service key":
        words = ("keys", "create", "fuzz", "--plan", "plenty", "--on-behalf-of", "any", "--json")
        return ("--header", f"X-API-Key: {json.loads(broker.command(*words))['key']}")
    name = {"user": "alice", "operator": "olga"}[caller]
    return ("--header", f"Authorization: Bearer {broker.bearer(name)}")


def _environment(broker: BrokerServer, caller: str) -> dict[str, str]:
    return {
        "SCHEMATHESIS_HOOKS": "tests.http.openapi_fuzz_hooks",
        "FUZZ_CALLER": caller,
        "FUZZ_KEYS": " ".join(principal_key(OWN_ISSUER, name) for name in ("olga", "bob")),
        "FUZZ_BEARERS": " ".join(broker.bearer("alice") for _ in range(50)),
    }
