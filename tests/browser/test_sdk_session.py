"""The demo page with connections that the official SDK opens instead of the library.

The broker serves the single modules of the page and the library unchanged, except `index.js`: its LiveSession
opens connections with @google/genai, which esbuild bundles with pages/sdk-connect.mjs.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route

from broker.http import pages
from broker.http.assets import Assets
from tests.browser.conftest import LaunchBrowser, Service
from tests.browser.demo_page import DemoPage, visits
from tests.browser.support import speak, wait_for

ROOT = Path(__file__).parents[2]
ENTRY = """
import { LiveSession as Own } from './live-session.js';
import { connect } from '/sdk-connect.js';
export class LiveSession extends Own {
  constructor(options) { super({ ...options, connect }); }
}
export { LiveError } from './shared/errors.js';
export { TokenSource } from './network/token-source.js';
"""
# Console messages of the SDK itself about ephemeral tokens and about the broker's setup.
SDK_NOTES = re.compile(r"Ephemeral token support is experimental|`LiveConnectConfig\.generation_config`")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    target = tmp_path_factory.mktemp("bundle") / "sdk.js"
    esbuild = [ROOT / "node_modules/.bin/esbuild", ROOT / "tests/browser/pages/sdk-connect.mjs"]
    options = ["--bundle", "--format=esm", "--platform=browser", "--log-level=warning"]
    subprocess.run([*esbuild, *options, f"--outfile={target}"], check=True, timeout=120)
    return target.read_text()


@pytest.fixture
def demo(
    bundle: str,
    launch_browser: LaunchBrowser,
    tmp_path: Path,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[DemoPage]:
    """The demo page, ready to start, with a microphone that says a sentence."""
    monkeypatch.setattr(pages, "ASSETS", Assets(pages.WEB, use_bundle=False))
    microphone = launch_browser(speak(tmp_path, "Good morning."))

    def serve(text: str, route: Route) -> None:
        route.fulfill(content_type="text/javascript", body=text)

    with visits(microphone, DemoPage) as visit:
        demo = visit(service.broker.url)
        demo.page.route("**/live/index.js", lambda route: serve(ENTRY, route))
        demo.page.route("**/sdk-connect.js", lambda route: serve(bundle, route))
        demo.enter()
        yield demo
        demo.faults[:] = [fault for fault in demo.faults if not SDK_NOTES.search(fault)]


def test_demo_page_talks_through_the_official_sdk(demo: DemoPage, service: Service) -> None:
    """Spoken and typed turns, a function call, and a planned change of connection."""
    control = service.standin.control
    demo.start()
    demo.expect_state("speaking")
    demo.caption("user", re.compile(r"\w"))
    demo.expect_state("listening")

    demo.say("/tool get_time {}")
    demo.caption("model", re.compile(r"get_time answered .*\d\d:\d\d"))

    def frames(key: str, connection: int = 0) -> list[object]:
        received = control.received()["connections"][connection]["received"]
        return [entry["frame"][key] for entry in received if key in entry["frame"]]

    assert len(frames("toolResponse")) == 1
    demo.expect_state("listening")

    control.push(go_away=2)
    wait_for("the next connection", lambda: len(control.received()["connections"]) == 2)
    demo.expect_state("listening")
    demo.say("after the change")
    demo.caption("model", re.compile("after the change"))

    first, second = control.received()["connections"]
    assert [one["path"].startswith("//ws/") for one in (first, second)] == [True, True], "the SDK's own path"
    assert first["closed"]["ms"] <= second["opened_ms"]
    assert second["resumed"]
    assert first["audio_frames"] > 20
    assert demo.page.workers == [], "the network side is on the page's thread"
