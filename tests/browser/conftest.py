"""Fixtures of the browser tests: Chromium, brokers with a stand-in, and pages that record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from playwright.sync_api import Browser, Playwright, expect, sync_playwright

from broker.standin import StandIn
from tests.browser import contexts
from tests.browser.demo_page import DemoPage, Site, Visits, free_places, running_site, visits
from tests.browser.ops_page import OpsPage, OpsVisits
from tests.browser.stage_server import StageServer
from tests.browser.support import Bench, Stage, launch
from tests.conftest import MakeBroker

# Several browsers share two cores: an assertion waits longer than Playwright's five seconds.
expect.set_options(timeout=20_000)

AnyStage = TypeVar("AnyStage", bound=Stage)


class OpenStage(Protocol):
    def __call__(self, kind: type[AnyStage], inside: Browser | None = None, script: str = "") -> AnyStage: ...


class LaunchBrowser(Protocol):
    def __call__(
        self, microphone: Path | None = None, *, deny: bool = False, cameras: int = 1
    ) -> Browser: ...


@dataclass(frozen=True)
class Service:
    """A broker in this process and the stand-in behind it, shared by the tests of the library."""

    standin: StandIn
    broker: StageServer

    def answered(self, turn: int = 1) -> bool:
        """Whether the stand-in has ended this turn of the newest connection."""
        control = self.standin.control
        turns = control.sent()["turns"] if control.received()["connections"] else []
        return len(turns) >= turn and bool(turns[turn - 1]["turn_complete_ms"])

    @property
    def connection(self) -> int:
        """The number of the newest connection."""
        return int(self.standin.control.received()["connections"][-1]["number"])


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with (
        StandIn(port=0) as standin,
        StageServer(tmp_path_factory.mktemp("stage"), standin.url) as broker,
    ):
        yield Service(standin, broker)


def as_new(talking: Service) -> Service:
    """Removes every scenario, connection and request, and ends sessions that a page left open."""
    talking.standin.control.reset()
    talking.broker.requests.clear()
    free_places(talking.broker.database)
    return talking


@pytest.fixture
def service(talking: Service) -> Service:
    """See `as_new`."""
    return as_new(talking)


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium whose microphone beeps, shared. Tests that need another sound launch their own."""
    running = launch(playwright)
    yield running
    running.close()


@pytest.fixture
def launch_browser(playwright: Playwright) -> Iterator[LaunchBrowser]:
    """launch_browser(wav): another Chromium, with a WAV file as microphone or without permissions."""
    running: list[Browser] = []

    def start(microphone: Path | None = None, *, deny: bool = False, cameras: int = 1) -> Browser:
        running.append(launch(playwright, microphone, deny=deny, cameras=cameras))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def open_stage(service: Service, browser: Browser) -> Iterator[OpenStage]:
    """open_stage(Demo or Bench, browser, init script): a page, not opened yet.

    At the end it fails if any page logged an error or warning.
    """
    opened: list[Stage] = []

    def start(kind: type[AnyStage], inside: Browser | None = None, script: str = "") -> AnyStage:
        page = contexts.take(inside or browser).new_page()
        if script:
            page.add_init_script(script)
        stage = kind(page, service.broker.url)
        opened.append(stage)
        return stage

    yield start
    faults = [fault for stage in opened for fault in stage.faults]
    for stage in opened:
        contexts.give_back(stage.page.context, stage.origin)
    assert faults == []


@pytest.fixture
def bench(open_stage: OpenStage, service: Service) -> Bench:
    """The library behind a button, ready for the click."""
    stage = open_stage(Bench)
    stage.open(service.broker.bearer())
    return stage


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visits]:
    """visit(url): the demo page as a new person sees it. At the end it fails if any visit had a fault."""
    with visits(browser, DemoPage) as opening:
        yield opening


@pytest.fixture(scope="session")
def shared_site(make_shared_broker: MakeBroker) -> Iterator[Site]:
    """One production broker for all page tests of this process: a start takes longer than most tests."""
    with running_site(make_shared_broker) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The shared broker without scenarios and without open sessions."""
    shared_site.reset()
    return shared_site


@pytest.fixture
def demo(visit: Visits, site: Site) -> DemoPage:
    """A first visit to the demo page, not signed in."""
    return visit(site.broker.url)


@pytest.fixture
def visit_ops(browser: Browser) -> Iterator[OpsVisits]:
    """visit_ops(url): the operators' page. At the end it fails if any visit had a fault."""
    with visits(browser, OpsPage) as opening:
        yield opening


@pytest.fixture
def ops(visit_ops: OpsVisits, site: Site) -> OpsPage:
    """A first visit to the operators' page, not signed in."""
    return visit_ops(site.broker.url)
