"""The unchanged @google/genai in real Chromium works with broker tokens. The library sends the same frames.

The SDK is bundled by esbuild with tests/contract/sdk_page.mjs and served beside the broker's own files,
on the broker's origin and under the broker's Content-Security-Policy.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from broker.standin import StandIn
from tests.contract import speech
from tests.contract.apart import run
from tests.contract.conftest import Upstream
from tests.contract.served_page import served_page
from tests.support.servers import BrokerServer

ROOT = Path(__file__).parents[2]
PAGE = """<!doctype html>
<html lang="en"><title>contract</title><script type="module" src="/contract/page.js"></script></html>
"""
RUNNER = "import * as contract from './sdk.js'; window.contract = contract;"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SDK and sdk_page.mjs as one file; the library stays where the broker serves it."""
    target = tmp_path_factory.mktemp("bundle") / "sdk.js"
    subprocess.run(
        [
            ROOT / "node_modules/.bin/esbuild",
            ROOT / "tests/contract/sdk_page.mjs",
            "--bundle",
            "--format=esm",
            "--platform=browser",
            "--external:/live/*",
            "--log-level=warning",
            f"--outfile={target}",
        ],
        check=True,
        timeout=120,
    )
    return target.read_text()


def in_page(broker: BrokerServer, bundle: str, work: Callable[[Page], Awaitable[Any]]) -> Any:
    async def visit() -> Any:
        files = {"/contract/": PAGE, "/contract/page.js": RUNNER, "/contract/sdk.js": bundle}
        async with served_page(broker.url, files) as page:
            await page.wait_for_function("window.contract")
            return await work(page)

    return run(visit())


def test_sdk_completes_a_spoken_turn(live_broker: BrokerServer, upstream: Upstream, bundle: str) -> None:
    said = speech.silence(0.2) + speech.spoken() + speech.silence(1.4)
    bearer = live_broker.sign_in("alice")

    async def talk(page: Page) -> Any:
        answer = await page.evaluate("(bearer) => contract.askToken(bearer)", bearer)
        spoken = base64.b64encode(said).decode()
        heard = await page.evaluate("([a, s]) => contract.talk(a, s)", [answer, spoken])
        return {**heard, "answer": answer}

    heard = in_page(live_broker, bundle, talk)
    audio = b"".join(base64.b64decode(part) for part in heard["audio"])
    assert heard["setupCompletes"] == 1
    assert heard["turnComplete"]
    assert len(audio) > 4800, "more than a tenth of a second"
    assert set(heard["mimeTypes"]) == {"audio/pcm;rate=24000"}
    assert heard["input"]
    assert heard["output"]
    if upstream.standin:
        record = upstream.standin.control.received()["connections"][-1]
        number = record["number"]
        assert record["auth"] == "query"
        assert record["path"].startswith("//ws/"), "the SDK doubles the slash"
        assert record["token_sha256"] == hashlib.sha256(heard["answer"]["token"].encode()).hexdigest()
        assert upstream.standin.control.received_audio(number) == said, "every chunk, in order"
        assert audio == upstream.standin.control.sent_audio(number)


def unlocked_token(standin: StandIn) -> dict[str, Any]:
    """A token from the stand-in for any number of connections, so that each call has its own."""
    request = urllib.request.Request(
        f"{standin.url}/v1alpha/auth_tokens",
        data=json.dumps({"uses": 0}).encode(),
        headers={"Content-Type": "application/json", "x-goog-api-key": "contract-test-key"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        name = json.load(answer)["name"]
    service = "google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
    model = "models/gemini-3.8-live"
    return {
        "token": name,
        "url": f"{standin.url.replace('http', 'ws', 1)}/ws/{service}",
        "auth": {"in": "query", "name": "access_token"},
        "api_version": "v1alpha",
        "model": model,
        "setup": {"model": model, "generationConfig": {"responseModalities": ["AUDIO"]}},
    }


@pytest.fixture(scope="session")
def calls(broker: BrokerServer, standin: StandIn, bundle: str) -> dict[str, dict[str, Any]]:
    """The frames of the SDK's and the library's connection for each call, and how each was closed.

    Always at the stand-in, because Google does not report what it received.
    """
    token = unlocked_token(standin)
    found: dict[str, dict[str, Any]] = {}

    async def call_all(page: Page) -> None:
        for name in await page.evaluate("contract.callNames"):
            closes = await page.evaluate("([a, n]) => contract.callBoth(a, n)", [token, name])
            for side, record in zip(("sdk", "library"), last_two_closed(standin), strict=True):
                frames = [entry["frame"] for entry in record["received"]]
                found.setdefault(name, {})[side] = {"frames": frames, "close": closes[side]}

    in_page(broker, bundle, call_all)
    return found


def last_two_closed(standin: StandIn) -> list[dict[str, Any]]:
    """The stand-in records a close a moment after the page sees it."""
    deadline = time.monotonic() + 10
    while True:
        records: list[dict[str, Any]] = standin.control.received()["connections"][-2:]
        if all(record["closed"] for record in records):
            return records
        assert time.monotonic() < deadline, "the connections stay open"
        time.sleep(0.02)


def test_library_sends_the_same_frames_as_the_sdk(calls: dict[str, dict[str, Any]]) -> None:
    """Compares the setup and the call, for every call except `media`."""
    same = {name: sides for name, sides in calls.items() if not name.startswith("media")}
    assert len(same) == 16
    for name, sides in same.items():
        assert len(sides["sdk"]["frames"]) == 2, name
        assert sides["library"]["frames"] == sides["sdk"]["frames"], name


def test_library_sends_media_under_the_current_field_names(calls: dict[str, dict[str, Any]]) -> None:
    """The SDK's `mediaChunks` ends the connection. The library sends `audio` and `video` instead."""
    for name, field in (("media, audio", "audio"), ("media, image", "video")):
        sides = calls[name]
        assert "mediaChunks" in sides["sdk"]["frames"][1]["realtimeInput"]
        assert sides["sdk"]["close"]["code"] == 1007
        assert list(sides["library"]["frames"][1]["realtimeInput"]) == [field]
        assert sides["library"]["close"]["code"] in (1000, 1005)
