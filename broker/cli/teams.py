"""`broker teams`: list teams, and show and change the limits that their members share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from broker.cli.options import json_option
from broker.cli.output import actor, money, open_database, print_json, print_rows

if TYPE_CHECKING:
    from broker.operators.teams import TeamAdmin

_FIELDS = ("rate", "sessions", "minutes_per_day", "budget_per_day", "budget_per_month", "minutes_per_month")


@click.group()
def teams() -> None:
    """Manage the limits that the members of a team share."""


@teams.command("list")
@json_option
def teams_list(as_json: bool) -> None:
    """List the teams, with what their members use together."""
    with _team_admin() as admin:
        facts = [admin.facts(row) for row in admin.page()]
    if as_json:
        print_json(facts)
        return
    print_rows(
        [
            {
                "team": one["name"],
                "members": one["members"],
                "open_sessions": one["open_sessions"],
                "minutes_today": one["minutes_today"],
                "minutes_month": one["minutes_month"],
                "cost_today": money(one["cost_today"]),
                "cost_month": money(one["cost_month"]),
                "currency": one["currency"],
            }
            for one in facts
        ],
        as_json=False,
    )


@teams.command("show")
@click.argument("team")
@json_option
def teams_show(team: str, as_json: bool) -> None:
    """Show the limits of TEAM, which of them an operator has set, and how much is used."""
    with _team_admin() as admin:
        _print(admin.facts(admin.show(team)), as_json)


@teams.command("set")
@click.argument("team")
@click.option("--rate", help='Token requests of all members, such as "100/minute".')
@click.option("--sessions", type=int, help="Sessions open at the same time.")
@click.option("--minutes-per-day", type=int, help="Minutes of talk per day.")
@click.option("--budget-per-day", help="Money per day, in the currency of the prices.")
@click.option("--budget-per-month", help="Money per month.")
@click.option("--minutes-per-month", type=int, help="Minutes of talk per month.")
@json_option
def teams_set(team: str, as_json: bool, **changes: Any) -> None:
    """Set limits of TEAM. Other limits stay as they are. Applies to the next request of each member."""
    with _team_admin() as admin:
        given = {name: value for name, value in changes.items() if value is not None}
        _print(admin.facts(admin.set(team, given)), as_json)


@teams.command("clear")
@click.argument("team")
@click.option(
    "--only",
    "fields",
    multiple=True,
    type=click.Choice(_FIELDS),
    help="Remove only this limit. Can be given several times.",
)
@json_option
def teams_clear(team: str, fields: tuple[str, ...], as_json: bool) -> None:
    """Remove the limits that were set for TEAM, so that broker.toml applies again."""
    with _team_admin() as admin:
        _print(admin.facts(admin.clear(team, fields)), as_json)


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    click.echo(f"{facts['name']}: {facts['rule']}; {facts['members']} members")
    used = {
        "sessions": facts["open_sessions"],
        "minutes_per_day": facts["minutes_today"],
        "minutes_per_month": facts["minutes_month"],
        "budget_per_day": money(facts["cost_today"]),
        "budget_per_month": money(facts["cost_month"]),
    }
    source = {True: "own", False: "settings"}
    print_rows(
        [
            {
                "limit": name,
                "value": value,
                "used": used.get(name),
                "from": None if value is None else source[facts["overrides"][name] is not None],
            }
            for name, value in facts["limits"].items()
        ],
        as_json=False,
    )


@contextmanager
def _team_admin() -> Iterator[TeamAdmin]:
    from broker.operators.teams import TeamAdmin

    with open_database() as (settings, database):
        yield TeamAdmin(settings, database, actor=actor())
