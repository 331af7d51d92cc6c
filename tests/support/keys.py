"""Service keys for tests: made as an operator makes them."""

from __future__ import annotations

from typing import Any

from flask import Flask

from broker.operators.keys import CreatedKey, KeyOps
from broker.parts import parts_of
from tests.support.servers import BrokerServer


def make_key(broker: Flask | BrokerServer, name: str = "shop", **terms: Any) -> CreatedKey:
    return key_ops(broker).create(name, **terms)


def key_ops(broker: Flask | BrokerServer) -> KeyOps:
    if isinstance(broker, BrokerServer):
        return KeyOps(broker.settings, broker.database, actor="tests")
    parts = parts_of(broker)
    return KeyOps(parts.settings, parts.database, actor="tests")


def key_headers(broker: Flask | BrokerServer, name: str = "shop", **terms: Any) -> dict[str, str]:
    """The headers of a backend with a key of its own."""
    return {"X-API-Key": make_key(broker, name, **terms).secret}
