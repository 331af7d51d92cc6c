"""The results of the newest round as a file for the textfile collector of Prometheus' node exporter.

A file needs no port and no server, so a timer with a one-shot command has metrics, too.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from broker.cli.proof.probe import Probed


def write(path: Path, url: str, results: Iterable[Probed]) -> None:
    """Replaces the file in one step. A probe that was not tried has no sample."""
    registry = CollectorRegistry()
    success = Gauge(
        "broker_probe_success", "Whether the probe saw what it must see.", ["url", "probe"], registry=registry
    )
    seconds = Gauge("broker_probe_seconds", "How long the probe took.", ["url", "probe"], registry=registry)
    ended = Gauge("broker_probe_round_timestamp_seconds", "When the round ended.", ["url"], registry=registry)
    for one in results:
        if one.outcome != "untried":
            success.labels(url, one.probe).set(one.outcome == "ok")
            seconds.labels(url, one.probe).set(one.seconds)
    ended.labels(url).set(time.time())
    write_to_textfile(str(path), registry)
