"""The button "Continue as demo": only `broker dev` with the stand-in has it, and only on its own machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask

from broker import parts
from broker.cli import dev
from tests.http.conftest import MakeApp

ACCOUNT = (dev.DEMO_USER, dev.DEMO_PASSWORD)
BUTTON = 'id="demo-sign-in"'


def as_dev(app: Flask) -> Flask:
    """The app with the argument that `broker dev` passes to create_app."""
    parts.install(app, replace(parts.parts_of(app), demo_sign_in=ACCOUNT))
    return app


def page(app: Flask, address: str = "127.0.0.1", **headers: str) -> str:
    answer = app.test_client().get("/", headers=headers, environ_base={"REMOTE_ADDR": address})
    return answer.get_data(as_text=True)


def test_page_of_dev_offers_the_demo_account(make_app: MakeApp) -> None:
    html = page(as_dev(make_app()))
    assert BUTTON in html
    assert 'data-username="demo"' in html
    assert "The terminal that started the broker" not in html


def test_server_never_offers_it(make_app: MakeApp) -> None:
    html = page(make_app())
    assert BUTTON not in html
    assert dev.DEMO_PASSWORD not in html


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("203.0.113.7", {}),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}),
        ("127.0.0.1", {"Forwarded": "for=203.0.113.7"}),
        ("127.0.0.1", {"Host": "broker.example"}),
    ],
)
def test_other_machines_do_not_get_it(make_app: MakeApp, address: str, headers: dict[str, str]) -> None:
    assert dev.DEMO_PASSWORD not in page(as_dev(make_app()), address, **headers)


def test_broker_that_talks_to_google_does_not_offer_it(make_app: MakeApp) -> None:
    app = as_dev(make_app(live_url="https://generativelanguage.googleapis.com"))
    assert dev.DEMO_PASSWORD not in page(app)
