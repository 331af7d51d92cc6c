"""The requests for tokens equal the SDK's recorded requests and the golden files of the shipped profiles.

A golden file changes only together with a decision that says why. To write it again, delete it and run the
test. The test fails once and writes the new file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.minting.gemini import GeminiMinter, socket_url
from broker.profiles.profile import Profile
from broker.settings import document
from tests.contract.python_sdk_calls import BASE, RICH
from tests.support.upstream import Seen, Upstream

WIRE = Path(__file__).parents[2] / "wire"
GOLDEN = Path(__file__).parent / "golden"
SHIPPED = document.read(None).profiles


@pytest.fixture
def google() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def mint(google: Upstream, profile: Profile, *, handle: str | None = None, minute: int = 34) -> Seen:
    minter = GeminiMinter(api_key="FAKE_KEY", base_url=google.url, profiles=[profile], max_concurrent=4)
    try:
        moment = datetime(2026, 1, 2, 3, minute, 5, tzinfo=UTC)
        token_plan = minter.token_plan(profile, handle)
        minter.mint(profile, token_plan, expires_at=moment, connect_by=moment, handle=handle)
    finally:
        minter.close()
    return google.mints[-1]


def recorded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((WIRE / name).read_text())
    return content


def assert_same_request(seen: Seen, recording: dict[str, Any]) -> None:
    assert (seen.method, seen.path) == (recording["method"], recording["path"])
    assert seen.body == recording["body"]
    for name in ("content-type", "x-goog-api-key"):
        assert seen.headers[name] == recording["headers"][name]
    assert "authorization" not in seen.headers
    assert "cookie" not in seen.headers


def test_mask_lock_sends_the_recorded_request(google: Upstream) -> None:
    profile = Profile(name="p", models=("gemini-3.8-live",), config=BASE)
    assert_same_request(mint(google, profile), recorded("mint-explicit-mask.request.python-sdk.json"))


def test_total_lock_sends_the_recorded_request(google: Upstream) -> None:
    config = {**BASE, "temperature": 0.7}
    profile = Profile(name="p", models=("gemini-3.8-live",), lock="total", config=config)
    assert_same_request(mint(google, profile, minute=4), recorded("mint-lock-all.request.python-sdk.json"))


@pytest.mark.parametrize("lock", ["mask", "total"])
def test_all_fields_together_send_the_recorded_setup(google: Upstream, lock: Any) -> None:
    """Compares with the first frame that the SDK's live client sends for the same config."""
    setup = recorded("setup-rich.python-sdk.json")["setup"]
    handle = setup["sessionResumption"]["handle"]
    if lock == "mask":
        del setup["sessionResumption"]
    config = {name: value for name, value in RICH.items() if name != "session_resumption"}
    # No real model accepts every field, so the test uses an id without rules.
    setup["model"] = "models/any-live"
    profile = Profile(name="p", models=("any-live",), lock=lock, config=config)
    body = mint(google, profile, handle=handle).body
    assert body["bidiGenerateContentSetup"] == setup
    if lock == "mask":
        assert set(body["fieldMask"].split(",")) == set(setup)
    else:
        assert "fieldMask" not in body


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_send_their_golden_requests(google: Upstream, name: str) -> None:
    path = GOLDEN / f"{name}.json"
    body = mint(google, SHIPPED[name]).body
    if not path.exists():
        path.write_text(json.dumps(body, indent=2) + "\n")
        pytest.fail(f"{path.name} was missing and is now written; read it before you keep it")
    assert body == json.loads(path.read_text())


def test_every_golden_file_belongs_to_a_shipped_profile() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(SHIPPED)


def test_default_profile_has_its_documented_setup() -> None:
    setup = json.loads((GOLDEN / "default.json").read_text())["bidiGenerateContentSetup"]
    assert setup["systemInstruction"]["parts"] == [
        {"text": "You are a helpful assistant and answer in a friendly tone."}
    ]
    assert setup["generationConfig"] == {"responseModalities": ["AUDIO"]}
    assert [tool["name"] for tool in setup["tools"][0]["functionDeclarations"]] == ["get_time"]
    assert "sessionResumption" not in setup
    assert SHIPPED["default"].models == ("gemini-2.5-flash-native-audio-preview-09-2025", "gemini-3.8-live")


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://generativelanguage.googleapis.com", "wss://generativelanguage.googleapis.com"),
        ("http://127.0.0.1:9090", "ws://127.0.0.1:9090"),
    ],
)
def test_socket_url_is_the_constrained_one_of_the_pinned_version(base: str, expected: str) -> None:
    path = "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
    assert socket_url(base) == expected + path
