"""`broker probe` at a real broker: each probe, its exit status, its metrics, and what it leaves behind."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from broker.cli.main import cli
from broker.cli.proof.probe import PROBES
from broker.standin import StandIn
from tests.conftest import MakeBroker
from tests.support.issuers import KeyServer, claims, entry, signer
from tests.support.ports import free_port
from tests.support.process import Process
from tests.support.servers import BrokerServer

SLOW_PLAN = """
[plans.slow]
rate = "3/minute"
sessions = 2
minutes_per_day = 60
session_minutes = 30
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[KeyServer]:
    with KeyServer() as server:
        server.publish("/keys", [signer("rsa")])
        yield server


@pytest.fixture(scope="module")
def probed(standin: StandIn, make_broker: MakeBroker, issuer: KeyServer) -> BrokerServer:
    toml = SLOW_PLAN + entry("other", f"{issuer.url}/other", f"{issuer.url}/keys")
    server = make_broker(standin.url, toml=toml)
    server.add_user("probe")
    server.add_user("slow", plan="slow")
    server.add_user("unlimited")
    return server


@pytest.fixture(scope="module")
def environ(probed: BrokerServer, issuer: KeyServer) -> dict[str, str]:
    created = probed.command("keys", "create", "probe", "--scope", "token", "--scope", "sessions")
    key = re.search(r"lbk_\w+", created)
    assert key, created
    name, hour_ago = f"{issuer.url}/other", int(time.time()) - 3600
    return {
        "PROBE_CREDENTIAL": key[0],
        "PROBE_LIMITED_CREDENTIAL": probed.bearer("slow"),
        "PROBE_EXPIRED_TOKEN": signer("rsa").token(claims(name, iat=hour_ago, exp=hour_ago + 60)),
        "PROBE_WRONG_AUDIENCE_TOKEN": signer("rsa").token(claims(name, aud="another")),
    }


def run(url: str, environ: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(cli, ["probe", url, *words], env=environ)


def open_sessions(probed: BrokerServer) -> list[str]:
    rows = json.loads(probed.command("sessions", "list", "--json"))
    return [row["id"] for row in rows if row["state"] != "ended"]


def test_round_succeeds_and_ends_its_sessions(
    probed: BrokerServer, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "probe.prom"
    done = run(probed.url, environ, "--metrics-file", str(path))
    assert done.exit_code == 0, done.output
    assert done.output.count("\n") == 1
    assert re.findall(r"([a-z-]+)=ok", done.output) == list(PROBES)
    text = path.read_text()
    for name in PROBES:
        assert f'broker_probe_success{{probe="{name}",url="{probed.url}"}} 1.0' in text
    assert open_sessions(probed) == []
    for secret in environ.values():
        assert secret not in done.output + text


def test_missing_credential_is_no_pass(probed: BrokerServer, environ: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "probe.prom"
    few = environ | {"PROBE_WRONG_AUDIENCE_TOKEN": "", "PROBE_LIMITED_CREDENTIAL": ""}
    done = run(probed.url, few, "--metrics-file", str(path))
    assert done.exit_code == 3
    assert "wrong-audience=untried (PROBE_WRONG_AUDIENCE_TOKEN is not set)" in done.output
    assert "wrong-audience" not in path.read_text()


def test_wrong_answers_fail_the_round(probed: BrokerServer, environ: dict[str, str]) -> None:
    wrong = {
        "PROBE_CREDENTIAL": "lbk_000000000000_" + "0" * 40,
        "PROBE_LIMITED_CREDENTIAL": probed.bearer("unlimited"),
        "PROBE_EXPIRED_TOKEN": probed.bearer("unlimited"),
    }
    done = run(probed.url, environ | wrong)
    assert done.exit_code == 1
    assert "token=failed (401 invalid-token; expected 200)" in done.output
    assert "over-the-limit=failed (no refusal after 6 requests)" in done.output
    assert "expired=failed (200; expected 401 token-expired)" in done.output
    assert open_sessions(probed) == []


def test_broker_that_does_not_answer_fails_the_round(environ: dict[str, str]) -> None:
    done = run(f"http://127.0.0.1:{free_port()}", environ)
    assert done.exit_code == 1
    assert "health=failed (no answer (ConnectError))" in done.output


@pytest.mark.long  # ten seconds, the shortest interval
def test_rounds_repeat(probed: BrokerServer, environ: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "rounds.log"

    def has_two_rounds() -> bool:
        return log.exists() and log.read_text().count("token=ok") == 2

    words = ["probe", probed.url, "--every", "10s"]
    process = Process.python("broker.cli", words, env=environ, log_path=log, answers=has_two_rounds)
    process.end()
    first, second = log.read_text().splitlines()
    assert first < second, "they begin with their time"


@pytest.mark.parametrize("interval", ["5", "1s", "m", "5 m", "-5m"])
def test_wrong_interval_is_reported(interval: str) -> None:
    done = run("http://127.0.0.1:9", {}, f"--every={interval}")
    assert done.exit_code == 2
    assert "is not an interval" in done.output
