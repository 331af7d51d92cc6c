"""Credentials from before the packages were moved keep working: the keys behind them are derived as before.

The values were recorded with that version. A changed one would end every bearer, sign-in and service key.
"""

from __future__ import annotations

from broker.identity.service_keys import PEPPER_LABEL, keyed_hash
from broker.identity.signing import derive
from broker.parts import parts_of
from tests.http.conftest import MakeApp

SECRET = "Zk3vV0s8mJ1yq7Rw2Tn5xC9bL4hG6dP8aE1uK3iQ7oY5sF2wM9"


def test_keys_behind_earlier_credentials_are_unchanged(make_app: MakeApp) -> None:
    parts = parts_of(make_app(env={"BROKER_SECRET_KEY": SECRET}))
    assert parts.keys.signs.kid == "6185c4d78ef7"
    csrf = parts.sign_ins.csrf_token("a-cookie-of-an-earlier-version")
    assert csrf == "b94c1cda6a29c621739a3b8628b83044632d9a41d016eef320f6a73e5db7fb31"
    service_key = keyed_hash(derive(SECRET, PEPPER_LABEL), "lbk_nhkhx8p9a0xa_example")
    assert service_key == "195d6891f101363b1701bd73d524f9f7f22fd138ed9c37df109d43432afbb935"
