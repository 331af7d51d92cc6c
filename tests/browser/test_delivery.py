"""The cost of opening the page: bytes, request depth, and the time from the click to the first speech."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.browser.demo_page import DemoPage, Site, Visits
from tests.browser.support import assert_at_most, wait_for
from tests.support.counting_proxy import CountingProxy


@dataclass(frozen=True)
class Most:
    """Bounds of everything that the page loads before it is ready. The headers are those of HTTP/1.1."""

    requests: int
    bodies: int
    with_headers: int


BUNDLE = Most(requests=25, bodies=49 * 1024, with_headers=57 * 1024)
PLAIN = Most(requests=75, bodies=62 * 1024, with_headers=84 * 1024)
DATA = {"/me", "/profiles"}


@pytest.fixture
def wire(site: Site) -> Iterator[CountingProxy]:
    with CountingProxy(site.broker.port) as running:
        yield running


# The list includes the imports of the worker and the worklets, because the page preloads them.
ENCODED = """() => Object.fromEntries(performance.getEntries()
    .filter((entry) => 'encodedBodySize' in entry)
    .map(({ name, encodedBodySize }) => [name, encodedBodySize]))"""


def _signed_in(visit: Visits, url: str) -> DemoPage:
    """A signed-in visitor with an empty cache, because each test has its own origin."""
    demo = visit(url)
    demo.take_sign_in("demo")
    return demo


def _open(demo: DemoPage) -> None:
    """Opens the page and waits until it is idle and has loaded everything."""
    demo.page.goto(demo.url, wait_until="networkidle")
    demo.expect_state("idle")
    wait_for("the network worker", lambda: demo.page.workers)
    demo.page.wait_for_load_state("networkidle")


def test_page_and_library_are_small(visit: Visits, wire: CountingProxy, pytestconfig: pytest.Config) -> None:
    """Everything requested before `idle`: the bodies, and all bytes on the wire.

    The browser reports 300 bytes of headers per file in any case, so a proxy counts the bytes.
    """
    demo = _signed_in(visit, wire.url)
    wire.forget()
    _open(demo)
    sizes = demo.page.evaluate(ENCODED)
    bodies, came, files = sum(sizes.values()), wire.bytes_down, len(wire.paths)
    assert set(sizes) == {demo.url + path for path in wire.paths}
    assert bodies < came
    most = PLAIN if pytestconfig.getoption("--plain-modules") else BUNDLE
    measured = f"{came} bytes with headers, {bodies} without, in {files} answers"
    print(measured)  # pytest -rP shows it
    assert files <= most.requests, measured
    assert bodies < most.bodies, measured
    assert came < most.with_headers, measured


def test_page_is_three_requests_deep(visit: Visits, wire: CountingProxy) -> None:
    """The page, then the files that it names, then the user's data. Each file once."""
    demo = _signed_in(visit, wire.url)
    wire.forget()
    _open(demo)
    first, *rest = wire.paths
    assert first == "/"
    files = [path for path in rest if path not in DATA]
    html = demo.page.request.get(wire.url).text()
    named = set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', html))
    assert set(files) - {"/favicon.ico"} <= named
    assert any(path.endswith("/live/network/network-worker.js") for path in files)
    assert any(path.endswith("/worklets/playback-processor.js") for path in files)
    assert len(files) == len(set(files)), "the worker and the worklets use the cache"
    assert set(rest) - set(files) == DATA
    # Both are requested at once, before anything else.
    order = [path for path in rest if not path.endswith(".svg")]
    at = min(order.index(path) for path in DATA)
    assert set(order[at : at + 2]) == DATA


def test_second_visit_requests_only_the_page_and_the_data(visit: Visits, wire: CountingProxy) -> None:
    demo = _signed_in(visit, wire.url)
    _open(demo)
    wire.forget()
    _open(demo)
    assert set(wire.paths) == {"/", *DATA}


# In the network worker: the times of the token request, the socket and the first chunk of speech.
WATCH_WORKER = """() => {
    const now = () => performance.timeOrigin + performance.now();
    const times = globalThis.times = {};
    const fetchBefore = globalThis.fetch;
    globalThis.fetch = async (...call) => {
        times.asked ??= now();
        const answer = await fetchBefore(...call);
        const body = await answer.clone().text();
        times.granted ??= now();
        return answer;
    };
    globalThis.WebSocket = class extends WebSocket {
        constructor(...call) {
            times.dialled ??= now();
            super(...call);
            this.addEventListener('open', () => { times.opened ??= now(); });
            this.addEventListener('message', () => { times.ready ??= now(); });
        }
        send(data) {
            if (data.startsWith('{"realtimeInput":{"audio"')) times.voice ??= now();
            super.send(data);
        }
    };
}"""
WATCH_CLICK = """() => {
    const note = () => { globalThis.clickedAt = performance.timeOrigin + performance.now(); };
    document.getElementById('talk').addEventListener('click', note, { capture: true });
}"""


def _added_ms(demo: DemoPage) -> float:
    """The time from the click to the first speech, without the responses of broker and service."""
    _open(demo)
    (worker,) = demo.page.workers
    worker.evaluate(WATCH_WORKER)
    demo.page.evaluate(WATCH_CLICK)
    demo.start()
    wait_for("the first chunk", lambda: worker.evaluate("times.voice"))
    times = {**worker.evaluate("times"), "clicked": demo.page.evaluate("clickedAt")}
    waited = sum(
        times[end] - times[begin]
        for begin, end in (("asked", "granted"), ("dialled", "opened"), ("opened", "ready"))
    )
    assert times["voice"] >= times["ready"], "no speech is sent before the setup"
    return float(times["voice"] - times["clicked"] - waited)


@pytest.mark.measured
def test_click_adds_at_most_30_ms_to_token_socket_and_setup(visit: Visits, site: Site) -> None:
    """The service is as far away as Google, and the microphone opens in the meantime."""
    site.standin.control.scenario("setup-slow", seconds=0.3)
    demo = _signed_in(visit, site.broker.url)
    # As for someone who has talked here before. Otherwise the token waits for the browser's question.
    demo.page.context.grant_permissions(["microphone"])
    assert_at_most(30, lambda: statistics.median(_added_ms(demo) for _ in range(5)))
