"""Fixtures of the browser tests: Chromium, a stand-in and a broker of their own, pages that record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright
from sqlalchemy import update

from broker.standin import StandIn
from broker.store.database.tables import sessions
from tests.browser.demo_page import DemoPage, Site, Visits, visits
from tests.browser.stage_server import StageServer
from tests.browser.support import Bench, Stage, launch

AnyStage = TypeVar("AnyStage", bound=Stage)


class OpenStage(Protocol):
    def __call__(self, kind: type[AnyStage], inside: Browser | None = None, script: str = "") -> AnyStage: ...


class LaunchBrowser(Protocol):
    def __call__(self, microphone: Path | None = None, *, ask: bool = False, cameras: int = 1) -> Browser: ...


@dataclass(frozen=True)
class Service:
    """A broker and the stand-in behind it. Scenarios of these tests meet nobody else."""

    standin: StandIn
    broker: StageServer

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
    """As just started: no scenario, connection or request, and no session that a page could not end."""
    talking.standin.control.reset()
    talking.broker.requests.clear()
    with talking.broker.database.write() as store:
        store.execute(update(sessions).where(sessions.c.state == "open").values(state="ended"))
    return talking


@pytest.fixture
def service(talking: Service) -> Service:
    """See `as_new`."""
    return as_new(talking)


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium whose microphone beeps; shared. Tests that need a certain sound launch their own."""
    running = launch(playwright)
    yield running
    running.close()


@pytest.fixture
def launch_browser(playwright: Playwright) -> Iterator[LaunchBrowser]:
    """A Chromium of one's own: with a WAV file in its microphone, or one that has to be asked for."""
    running: list[Browser] = []

    def start(microphone: Path | None = None, *, ask: bool = False, cameras: int = 1) -> Browser:
        running.append(launch(playwright, microphone, ask=ask, cameras=cameras))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def open_stage(service: Service, browser: Browser) -> Iterator[OpenStage]:
    """open_stage(Demo or Bench, a browser of one's own or none, an init script): a page, not yet opened.

    At the end, no page may have complained on its console.
    """
    opened: list[Stage] = []

    def start(kind: type[AnyStage], inside: Browser | None = None, script: str = "") -> AnyStage:
        page = (inside or browser).new_page()
        if script:
            page.add_init_script(script)
        stage = kind(page, service.broker.url)
        opened.append(stage)
        return stage

    yield start
    faults = [fault for stage in opened for fault in stage.faults]
    for stage in opened:
        stage.page.close()
    assert faults == []


@pytest.fixture
def bench(open_stage: OpenStage, service: Service) -> Bench:
    """The library behind a button, ready for the click."""
    stage = open_stage(Bench)
    stage.open(service.broker.bearer())
    return stage


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visits]:
    """visit(url): the demo page as a new person meets it. At the end, no visit may have had a fault."""
    with visits(browser) as opening:
        yield opening


@pytest.fixture
def demo(visit: Visits, service: Site | Service) -> DemoPage:
    """A first visit to the module's own `service`, not signed in."""
    return visit(service.broker.url)
