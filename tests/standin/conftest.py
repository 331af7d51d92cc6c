"""Each test has a stand-in of its own, with clocks that run twenty times faster than the world's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.standin import StandIn

SCALE = 20.0


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with StandIn(time_scale=SCALE) as running:
        yield running
