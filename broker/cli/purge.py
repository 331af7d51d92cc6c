"""`broker purge`: deletes sessions and audit entries that are older than a day that the operator chooses."""

from __future__ import annotations

from datetime import datetime

import click

from broker.cli.options import Moment, json_option, yes_option
from broker.cli.output import actor, confirm, open_database, print_json


@click.command("purge")
@click.option(
    "--before", type=Moment(), required=True, help="Delete what ended before this day or time (UTC)."
)
@yes_option
@json_option
def purge(before: datetime, yes: bool, as_json: bool) -> None:
    """Delete ended sessions, their tokens and reports, and audit entries from before a day.

    Exports keep the sums of what was used, without names, for 400 days more.

    Also deletes the names of removed users of whom nothing else is left. What limits still need is never
    deleted: DATE may be yesterday at the latest. Asks first; without a terminal, --yes is required.
    """
    from broker.operators.purge import PurgeAdmin
    from broker.settings import PriceList

    with open_database() as (settings, database):
        admin = PurgeAdmin(database, PriceList(settings.config.prices), actor=actor())
        found = admin.count(before)
        day = before.isoformat(timespec="minutes")
        question = f"Delete {found.sessions} sessions and {found.audit} audit entries from before {day}?"
        confirm(question, yes)
        deleted = admin.purge(before)
    if as_json:
        print_json(vars(deleted))
        return
    click.echo(
        f"Deleted {deleted.sessions} sessions, {deleted.audit} audit entries and {deleted.names} names "
        f"from before {day}."
    )
