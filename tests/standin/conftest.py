"""Each test has its own stand-in, with a clock that runs twenty times faster than real time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker.standin import StandIn

SCALE = 20.0


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with StandIn(time_scale=SCALE) as running:
        yield running
