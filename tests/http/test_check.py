"""`broker check`: every step against a real store, the stand-in and a key server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from broker.cli import check
from broker.standin import StandIn
from tests.support.environment import environment, write_config
from tests.support.issuers import KeyServer, entry, signer

UNPRICED = """
[profiles.next]
models = ["gemini-9-live", "gemini-3.8-live"]
[profiles.next.config]
response_modalities = ["AUDIO"]
"""


def test_each_step_reports_its_result(
    tmp_path: Path, standin: StandIn, database_with_users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KeyServer() as server:
        good = entry("good", f"{server.url}/good", server.publish("/keys", [signer("rsa")]))
        gone = entry("gone", f"{server.url}/gone", f"{server.url}/nowhere")
        config = write_config(tmp_path, more=good + gone + UNPRICED)
        environ = environment(tmp_path, standin.url, config=config)
        shutil.copy(database_with_users, environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///"))
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        printed: list[str] = []
        assert not check.run(printed.append)
    database = environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///")
    assert printed[:3] == [
        "ok    settings",
        "WARN  broker.toml: prices: there is no price for gemini-9-live; "
        "the cost of such sessions is unknown",
        f"ok    store at {database}: schema current, takes writes",
    ]
    assert printed[3] == f"ok    issuer good at {server.url}/keys: 1 usable keys"
    assert printed[4].startswith(f"FAIL  issuer gone at {server.url}/nowhere: keys-unavailable: ")
    assert "HTTP status 404" in printed[4]
    assert printed[6].startswith(f"ok    mint default at {standin.url}: ")
