"""Service keys for tests: created as an operator creates them."""

from __future__ import annotations

from typing import Any

from flask import Flask

from broker.identity.service_keys import ServiceKey
from broker.operators.keys import CreatedKey, KeyAdmin
from broker.parts import parts_of
from broker.store.accounts.service_keys import SqlServiceKeys
from tests.support.servers import BrokerServer


def make_key(broker: Flask | BrokerServer, name: str = "shop", **terms: Any) -> CreatedKey:
    return key_admin(broker).create(name, **terms)


def key_admin(broker: Flask | BrokerServer) -> KeyAdmin:
    if isinstance(broker, BrokerServer):
        return KeyAdmin(broker.settings, broker.database, actor="tests")
    parts = parts_of(broker)
    return KeyAdmin(parts.settings, parts.database, actor="tests")


def stored_keys(app: Flask) -> list[ServiceKey]:
    return SqlServiceKeys(parts_of(app).database).page()


def key_headers(broker: Flask | BrokerServer, name: str = "shop", **terms: Any) -> dict[str, str]:
    """The headers of a backend with a key of its own."""
    return {"X-API-Key": make_key(broker, name, **terms).secret}
