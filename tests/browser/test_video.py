"""Camera and screen: one frame per second, none while the page is hidden, and nothing stays on."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import LaunchBrowser, OpenStage, Service
from tests.browser.support import Bench, wait_for

# Hides the page, as a person does by opening another tab. A headless browser has no other way.
HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}"""
START = """async options => {
  try {
    globalThis.preview = await bench.session.startVideo(options);
    return null;
  } catch (error) {
    return { reason: error.reason, detail: error.detail };
  }
}"""


def pictures(service: Service) -> list[dict[str, Any]]:
    """Every video frame of every connection: its time and its description."""
    return [
        {"ms": entry["ms"], **entry["frame"]["realtimeInput"]["video"]}
        for connection in service.standin.control.received()["connections"]
        for entry in connection["received"]
        if "video" in entry["frame"].get("realtimeInput", {})
    ]


def states(bench: Bench) -> list[tuple[str, str | None]]:
    return [(e["detail"]["state"], e["detail"].get("reason")) for e in bench.events("video")]


def test_model_gets_one_frame_per_second_until_stopped(bench: Bench, service: Service) -> None:
    assert bench.page.evaluate(START, {"facingMode": "user"}) is None
    assert states(bench) == [("paused", "disconnected")], "pictures without a conversation"
    assert bench.start(microphone=False) is None
    wait_for("three pictures", lambda: len(pictures(service)) >= 3)
    bench.page.evaluate("bench.session.stopVideo()")
    assert bench.page.evaluate("preview.getTracks().length") == 0
    seen = pictures(service)
    bench.page.wait_for_timeout(1500)
    assert len(pictures(service)) <= len(seen) + 1, "one may have been on its way"
    assert {picture["mimeType"] for picture in seen} == {"image/jpeg"}
    assert all(picture["data"]["bytes"] > 1000 for picture in seen)
    # One second apart, plus or minus the delay of a busy machine.
    assert (seen[-1]["ms"] - seen[0]["ms"]) / (len(seen) - 1) > 700
    assert states(bench)[1:] == [("on", None), ("off", "stopped")]


def test_missing_image_encoder_is_reported_at_once(open_stage: OpenStage, service: Service) -> None:
    bench = open_stage(Bench, script="delete globalThis.OffscreenCanvas;")
    bench.open(service.broker.bearer())
    assert bench.page.evaluate(START, {})["reason"] == "unsupported"
    assert bench.page.evaluate(START, {"source": "screen"})["reason"] == "unsupported"


def test_frame_is_a_jpeg_of_at_most_768_pixels(bench: Bench) -> None:
    found = bench.page.evaluate(
        """async () => {
          const { sendPicture } = await import('/live/network/picture-encoder.js');
          const canvas = new OffscreenCanvas(1920, 1080);
          canvas.getContext('2d').fillRect(0, 0, 500, 500);
          const sent = Promise.withResolvers();
          void sendPicture(canvas.transferToImageBitmap(), () => 0, sent.resolve);
          const { data, mimeType } = await sent.promise;
          const blob = new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], { type: mimeType });
          const { width, height } = await createImageBitmap(blob);
          return [mimeType, width, height, data.slice(0, 4)];
        }"""
    )
    assert found == ["image/jpeg", 768, 432, "/9j/"]


def test_hidden_page_and_lost_connection_pause_the_camera(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    assert bench.page.evaluate(START, {}) is None
    wait_for("a picture", lambda: pictures(service))
    bench.page.evaluate(HIDE, True)
    before = len(pictures(service))
    bench.page.wait_for_timeout(2200)
    assert len(pictures(service)) <= before + 1, "one may have been on its way"
    before = len(pictures(service))
    bench.page.evaluate(HIDE, False)
    wait_for("a picture", lambda: len(pictures(service)) > before)
    service.standin.control.scenario("setup-slow", seconds=1.5, times=1)
    service.standin.control.push(drop=True)
    wait_for("the pause", lambda: states(bench)[-1] == ("paused", "disconnected"))
    wait_for("the return", lambda: states(bench)[-1] == ("on", None))
    before = len(pictures(service))
    wait_for("a picture", lambda: len(pictures(service)) > before)
    bench.end()
    assert states(bench) == [
        ("on", None),
        ("paused", "hidden"),
        ("on", None),
        ("paused", "disconnected"),
        ("on", None),
        ("off", "session-ended"),
    ]
    assert bench.page.evaluate("preview.getTracks().length") == 0


def test_screen_is_off_after_the_browser_ends_sharing(bench: Bench, service: Service) -> None:
    assert bench.start(microphone=False) is None
    assert bench.page.evaluate(START, {"source": "screen"}) is None
    bench.page.evaluate(HIDE, True)  # people share a screen in order to look elsewhere
    wait_for("a picture", lambda: pictures(service))
    bench.page.evaluate("preview.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert states(bench) == [("on", None), ("off", "ended")]
    assert bench.state() == "listening"


def test_next_camera_uses_the_same_preview(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service
) -> None:
    bench = open_stage(Bench, launch_browser(cameras=2))
    bench.open(service.broker.bearer())
    assert bench.start(microphone=False) is None
    assert bench.page.evaluate(START, {}) is None
    device = "preview.getTracks().map(track => track.getSettings().deviceId)"
    [first] = bench.page.evaluate(device)
    bench.page.evaluate("bench.session.switchCamera()")
    [second] = bench.page.evaluate(device)
    assert second != first
    before = len(pictures(service))
    wait_for("a picture", lambda: len(pictures(service)) > before)
    bench.page.evaluate("bench.session.switchCamera()")
    assert bench.page.evaluate(device) == [first]


def test_denied_camera_does_not_disturb_the_conversation(
    open_stage: OpenStage, launch_browser: LaunchBrowser, service: Service
) -> None:
    bench = open_stage(Bench, launch_browser(deny=True))
    bench.open(service.broker.bearer())
    assert bench.start(microphone=False) is None
    error = bench.page.evaluate(START, {})
    assert error["reason"] == "permission-denied"
    assert [state for state, _ in states(bench)] == ["denied"]
    assert bench.state() == "listening"
    assert pictures(service) == []
