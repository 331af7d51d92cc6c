"""Credentials from before the packages were moved keep working: the keys behind them are derived as before.

The values were recorded with that version. A changed one would end every bearer, sign-in and service key.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from broker.identity.service_keys import PEPPER_LABEL, keyed_hash
from broker.identity.signing import derive
from broker.parts import parts_of
from broker.store.accounts.sign_ins import SqlSignIns
from broker.store.accounts.users import SqlUsers
from tests.http.conftest import MakeApp

SECRET = "Zk3vV0s8mJ1yq7Rw2Tn5xC9bL4hG6dP8aE1uK3iQ7oY5sF2wM9"


def test_keys_behind_earlier_credentials_are_unchanged(make_app: MakeApp) -> None:
    parts = parts_of(make_app(env={"BROKER_SECRET_KEY": SECRET}))
    assert parts.keys.signs.kid == "6185c4d78ef7"
    csrf = parts.sign_ins.csrf_token("a-cookie-of-an-earlier-version")
    assert csrf == "b94c1cda6a29c621739a3b8628b83044632d9a41d016eef320f6a73e5db7fb31"
    service_key = keyed_hash(derive(SECRET, PEPPER_LABEL), "lbk_nhkhx8p9a0xa_example")
    assert service_key == "195d6891f101363b1701bd73d524f9f7f22fd138ed9c37df109d43432afbb935"


def test_sign_in_of_an_earlier_version_goes_on(make_app: MakeApp) -> None:
    """It was kept under a hash without a key."""
    app = make_app()
    cookie = "a-cookie-of-an-earlier-version"
    database = parts_of(app).database
    alice = SqlUsers(database).find("alice")
    assert alice is not None
    sign_in_id = hashlib.sha256(cookie.encode()).hexdigest()
    SqlSignIns(database).open(alice.principal(), sign_in_id, timedelta(hours=12), alice.generation)
    browser = app.test_client()
    browser.set_cookie("live-broker", cookie)
    assert browser.get("/me").status_code == 200
    csrf = browser.get("/me").get_json()["csrf_token"]
    same = {"Origin": "http://localhost", "X-CSRF-Token": csrf}
    browser.post("/auth/logout", headers=same)
    browser.set_cookie("live-broker", cookie)
    assert browser.get("/me").status_code == 401
