"""`python -m broker.standin`: the stand-in alone, until it is interrupted.

The first line it prints is `stand-in ready: URL`. The list of things that it does not imitate follows.
"""

from __future__ import annotations

import signal
import sys
import threading

import click

from broker.standin.server import NOT_IMITATED, StandIn


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address.")
@click.option(
    "--port", default=9090, show_default=True, type=click.IntRange(0, 65535), help="0: any free port."
)
@click.option("--tls", is_flag=True, help="Serve https and wss with a throw-away certificate.")
@click.option("--time-scale", default=1.0, show_default=True, help="Run its clocks this much faster.")
def main(host: str, port: int, tls: bool, time_scale: float) -> None:
    """A local Gemini Live API, for development and tests."""
    over = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: over.set())
    try:
        standin = StandIn(port=port, tls=tls, time_scale=time_scale, host=host).start()
    except (OSError, ValueError) as fault:
        raise click.ClickException(str(fault)) from None
    try:
        click.echo(f"stand-in ready: {standin.url}")
        if standin.ca_file:
            click.echo(f"certificate to trust: {standin.ca_file}")
        click.echo(NOT_IMITATED)
        sys.stdout.flush()
        over.wait()
    finally:
        standin.stop()


if __name__ == "__main__":
    main()
