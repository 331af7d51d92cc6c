"""The page says that a stand-in answers only if one does: a proxy to Google may listen on loopback too."""

from __future__ import annotations

from broker.settings.table import GOOGLE_URL
from broker.standin import StandIn
from tests.http.conftest import MakeApp
from tests.support.ports import free_port
from tests.support.upstream import Upstream

BANNER = "Demo mode:"


def test_banner_is_shown_for_the_stand_in(make_app: MakeApp, standin: StandIn) -> None:
    page = make_app(live_url=standin.url).test_client().get("/").text
    assert BANNER in page
    assert 'data-upstream="stand-in"' in page


def test_banner_is_not_shown_for_another_server_on_loopback(make_app: MakeApp) -> None:
    with Upstream() as proxy:
        client = make_app(live_url=proxy.url).test_client()
        pages = [client.get("/").text for _ in range(2)]
        assert [BANNER in page for page in pages] == [False, False]
        assert 'data-upstream="google"' in pages[0]
        asked = [seen.path for seen in proxy.seen if "_standin" in seen.path]
    assert asked == ["/_standin/health"], "it is asked once"


def test_banner_is_not_shown_for_google(make_app: MakeApp) -> None:
    assert BANNER not in make_app(live_url=GOOGLE_URL).test_client().get("/").text


def test_page_does_not_wait_for_a_stand_in_that_is_not_there(make_app: MakeApp) -> None:
    client = make_app(live_url=f"http://127.0.0.1:{free_port()}").test_client()
    assert BANNER in client.get("/").text
