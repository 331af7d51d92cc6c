"""`broker probe`: asks a running broker for what must work and for what must be refused."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import click

LEAST_SECONDS = 10
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Interval(click.ParamType[int]):
    """`30s`, `5m`, `1h`: seconds."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([0-9]{1,5})([smh])", value)
        if not found or (seconds := int(found[1]) * _UNITS[found[2]]) < LEAST_SECONDS:
            self.fail(f"{value!r} is not an interval such as 5m, and at least {LEAST_SECONDS}s", param, ctx)
        return seconds


@click.command()
@click.argument("url")
@click.option("--every", type=Interval(), help="Repeat after this time, such as 5m, until it is stopped.")
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the results to this file (*.prom) for the textfile collector of Prometheus.",
)
@click.option("--credential", envvar="PROBE_CREDENTIAL", hidden=True)
@click.option("--limited-credential", envvar="PROBE_LIMITED_CREDENTIAL", hidden=True)
@click.option("--expired-token", envvar="PROBE_EXPIRED_TOKEN", hidden=True)
@click.option("--wrong-audience-token", envvar="PROBE_WRONG_AUDIENCE_TOKEN", hidden=True)
def probe(
    url: str,
    every: int | None,
    metrics_file: Path | None,
    credential: str | None,
    limited_credential: str | None,
    expired_token: str | None,
    wrong_audience_token: str | None,
) -> None:
    """Probe the running broker at URL. Prints one line for each round.

    Set the credentials in the environment. Each is a service key or a bearer token: PROBE_CREDENTIAL gets a
    token; PROBE_LIMITED_CREDENTIAL belongs to a caller with a rate below 5/minute; PROBE_EXPIRED_TOKEN and
    PROBE_WRONG_AUDIENCE_TOKEN are refused. A probe whose credential is missing is not tried.

    Exit status of one round: 0 all succeeded, 1 a probe failed, 3 a probe was not tried.
    """
    from broker.cli.proof import probe as probes
    from broker.cli.proof import probe_metrics

    credentials = probes.Credentials(credential, limited_credential, expired_token, wrong_audience_token)
    with probes.client(url) as http:
        while True:
            started = time.monotonic()
            results = list(probes.Round(http, credentials).results())
            click.echo(_line(results))
            if metrics_file is not None:
                probe_metrics.write(metrics_file, url, results)
            if every is None:
                outcomes = {one.outcome for one in results}
                sys.exit(1 if "failed" in outcomes else 3 if "untried" in outcomes else 0)
            time.sleep(max(0.0, every - (time.monotonic() - started)))


def _line(results: list[Any]) -> str:
    """The time and each probe; of those that did not succeed, what was seen."""
    from datetime import UTC, datetime

    cells = [
        f"{one.probe}=ok" if one.outcome == "ok" else f"{one.probe}={one.outcome} ({one.seen})"
        for one in results
    ]
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {' '.join(cells)}"
