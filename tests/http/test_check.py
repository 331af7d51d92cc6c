"""`broker check`: every step against a real store, the stand-in and a key server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from broker.cli import check
from broker.standin import StandIn
from tests.support.environment import environment, write_config
from tests.support.issuers import KeyServer, entry, signer


def test_each_step_reports_its_result(
    tmp_path: Path, standin: StandIn, database_with_users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KeyServer() as server:
        good = entry("good", f"{server.url}/good", server.publish("/keys", [signer("rsa")]))
        gone = entry("gone", f"{server.url}/gone", f"{server.url}/nowhere")
        environ = environment(tmp_path, standin.url, config=write_config(tmp_path, more=good + gone))
        shutil.copy(database_with_users, environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///"))
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        printed: list[str] = []
        assert not check.run(printed.append)
    database = environ["BROKER_DATABASE_URL"].removeprefix("sqlite:///")
    assert printed[:2] == ["ok    settings", f"ok    store at {database}: schema current, takes writes"]
    assert printed[2] == f"ok    issuer good at {server.url}/keys: 1 usable keys"
    assert printed[3].startswith(f"FAIL  issuer gone at {server.url}/nowhere: keys-unavailable: ")
    assert "HTTP status 404" in printed[3]
    assert printed[4].startswith(f"ok    mint default at {standin.url}: ")
