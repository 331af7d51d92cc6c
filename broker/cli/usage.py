"""`broker usage`: tokens, refusals, minutes and costs of the last hour, day or week; exports of any days."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from broker.cli.options import json_option
from broker.cli.output import money, open_database, print_json, print_rows
from broker.store.reporting.dimensions import CHOICES, By

if TYPE_CHECKING:
    from broker.operators.usage_export import Format
    from broker.store.reporting.usage import Usage

_RANGES = ("hour", "day", "week")


@click.group("usage", invoke_without_command=True)
@click.option("--range", "name", type=click.Choice(_RANGES), default="day", show_default=True)
@json_option
@click.pass_context
def usage(context: click.Context, name: str, as_json: bool) -> None:
    """Show what was used in the last hour, day or week, and what it cost.

    The cost is that of the sessions that were opened in this time. It lists the users who talked longest.
    """
    if context.invoked_subcommand is not None:
        return
    from broker.settings import PriceList
    from broker.store.reporting.usage import SqlUsage

    with open_database() as (settings, database):
        found = SqlUsage(database, PriceList(settings.config.prices)).of(name)
    totals, users = _totals(found), _users(found)
    if as_json:
        print_json({"range": name, "currency": found.costs.currency, "totals": totals, "users": users})
        return
    cost = found.costs.total
    click.echo(f"Since    {totals['from']:%Y-%m-%d %H:%M} UTC")
    click.echo(f"Tokens   {totals['tokens']}, {totals['refusals']} refusals")
    click.echo(f"Minutes  {totals['minutes']} talked, {totals['charged_minutes']} charged")
    amount = money(cost.amount)
    click.echo(f"Cost     {'unknown' if amount is None else f'{amount} {found.costs.currency}'}")
    if cost.unpriced and cost.priced:
        click.echo(f"         without {_sessions(cost.unpriced)} whose model has no price")
    if cost.implausible:
        click.echo(f"         {_sessions(cost.implausible)} with reports that cannot be true")
    click.echo()
    print_rows([{**user, "cost": money(user["cost"])} for user in users], as_json=False)


_DAY = click.DateTime(["%Y-%m-%d"])


@usage.command("export")
@click.option("--from", "since", type=_DAY, help="The first day (UTC). Default: 29 days before the last one.")
@click.option("--to", "until", type=_DAY, help="The last day (UTC). Default: today.")
@click.option(
    "--by",
    type=click.Choice(CHOICES),
    default="day",
    show_default=True,
    help="What each row stands for.",
)
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
def export(since: datetime | None, until: datetime | None, by: By, form: Format) -> None:
    """Print sessions, seconds, tokens, cost and refusals of some days, for any number of users.

    A session counts on the day on which it was opened.
    """
    from broker.operators.usage_export import first_and_last, lines
    from broker.settings import PriceList
    from broker.store.ledger.usage_sums import UsageSums
    from broker.store.reporting.exports import SqlExport

    first, last = first_and_last(since and since.date(), until and until.date())
    if first > last:
        raise click.BadParameter("must not be after --to", param_hint="--from")
    with open_database() as (settings, database):
        prices = PriceList(settings.config.prices)
        for text in lines(SqlExport(database, UsageSums(database, prices), prices), by, first, last, form):
            click.echo(text.encode(), nl=False)


def _totals(found: Usage) -> dict[str, Any]:
    points = found.points
    return {
        "from": found.buckets.since,
        "tokens": sum(point.tokens for point in points),
        "refusals": sum(sum(point.refusals.values()) for point in points),
        "minutes": _minutes(sum(point.seconds for point in points)),
        "charged_minutes": _minutes(sum(point.charged_seconds for point in points)),
        "cost": found.costs.total.amount,
        "unpriced_sessions": found.costs.total.unpriced,
        "implausible_reports": found.costs.total.implausible,
    }


def _users(found: Usage) -> list[dict[str, Any]]:
    return [
        {
            "issuer": talker.issuer,
            "user": talker.subject,
            "minutes": _minutes(talker.seconds),
            "charged_minutes": _minutes(talker.charged_seconds),
            "cost": talker.cost.amount,
            "unpriced_sessions": talker.cost.unpriced,
        }
        for talker in found.talkers
    ]


def _sessions(number: int) -> str:
    return "1 session" if number == 1 else f"{number} sessions"


def _minutes(seconds: int) -> float:
    return round(seconds / 60, 1)
