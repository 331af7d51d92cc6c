"""`broker suspend` and `broker resume`: stop and restart the minting of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from broker.cli import completion
from broker.cli.output import actor, open_database

if TYPE_CHECKING:
    from broker.operators.suspension import SuspensionAdmin


@click.command("suspend")
@click.option("--reason", required=True, help="Callers and operators see it.")
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    help="Suspend this profile only. Repeat it for more.",
    shell_complete=completion.profiles,
)
@click.option("--renewals", is_flag=True, help="Also refuse further tokens to sessions that are open.")
def suspend(reason: str, profiles: tuple[str, ...], renewals: bool) -> None:
    """Refuse new tokens on every worker and host, from the next request on.

    Running it again replaces the current suspension. `broker resume` ends it.
    """
    with _suspension_admin() as admin:
        admin.suspend(reason, list(profiles) or None, renewals=renewals)
    of = f"for {', '.join(profiles)}" if profiles else "for all profiles"
    click.echo(f"Suspended new tokens {of}{', renewals included' if renewals else ''}.")


@click.command("resume")
def resume() -> None:
    """End the suspension. The next request gets a token again."""
    with _suspension_admin() as admin:
        was_suspended = admin.resume()
    click.echo("Resumed." if was_suspended else "Minting was not suspended.")


@contextmanager
def _suspension_admin() -> Iterator[SuspensionAdmin]:
    from broker.operators.suspension import SuspensionAdmin

    with open_database() as (settings, database):
        yield SuspensionAdmin(settings, database, actor=actor())
