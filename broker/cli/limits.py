"""`broker limits`: show and change the limits of single users."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from broker.cli import completion
from broker.cli.options import issuer_option, json_option
from broker.cli.output import actor, open_database, open_database_alone, print_json, print_rows
from broker.principal import NO_OVERRIDES

if TYPE_CHECKING:
    from broker.operators.limits import EffectiveLimits, LimitAdmin


@click.group()
def limits() -> None:
    """Manage the limits of single users. Without limits of its own, a user has those of its plan."""


@limits.command("show")
@click.argument("user", shell_complete=completion.users)
@issuer_option
@json_option
def limits_show(user: str, issuer: str, as_json: bool) -> None:
    """Show the limits that apply to USER, and which are its own."""
    with _limit_admin() as admin:
        _print(user, admin.show(user, issuer), as_json)


@limits.command("list")
@json_option
def limits_list(as_json: bool) -> None:
    """List the users who have limits of their own."""
    from broker.settings.amounts import with_amounts
    from broker.store.accounts.overrides import SqlOverrides

    with open_database_alone() as database:
        rows = [
            {
                "issuer": row.issuer,
                "user": row.subject,
                **with_amounts(vars(row.overrides)),
                "updated": row.updated_at,
            }
            for row in SqlOverrides(database).all()
        ]
    print_rows(rows, as_json)


@limits.command("set")
@click.argument("user", shell_complete=completion.users)
@click.option("--plan", help="Use this plan instead of USER's own.", shell_complete=completion.plans)
@click.option("--rate", help='Token requests, such as "10/minute; 200/day".')
@click.option("--sessions", type=int, help="Sessions open at the same time.")
@click.option("--minutes-per-day", type=int, help="Minutes of talk per day, over all sessions.")
@click.option("--session-minutes", type=int, help="The longest session, in minutes. Applies to new sessions.")
@click.option("--budget-per-day", help="Money per day, over all sessions, in the currency of the prices.")
@click.option("--budget-per-month", help="Money per month.")
@click.option("--minutes-per-month", type=int, help="Minutes of talk per month.")
@issuer_option
@json_option
def limits_set(user: str, issuer: str, as_json: bool, **changes: Any) -> None:
    """Give USER limits of its own. Other limits stay as they are. Applies to the next request."""
    with _limit_admin() as admin:
        given = {name: value for name, value in changes.items() if value is not None}
        _print(user, admin.set(user, given, issuer), as_json)


@limits.command("clear")
@click.argument("user", shell_complete=completion.users)
@click.option(
    "--only",
    "fields",
    multiple=True,
    type=click.Choice(tuple(vars(NO_OVERRIDES))),
    help="Remove only this limit. Can be given several times.",
)
@issuer_option
@json_option
def limits_clear(user: str, fields: tuple[str, ...], issuer: str, as_json: bool) -> None:
    """Remove USER's own limits, so that its plan applies again."""
    with _limit_admin() as admin:
        _print(user, admin.clear(user, fields, issuer), as_json)


def _print(user: str, limits: EffectiveLimits, as_json: bool) -> None:
    from broker.settings.amounts import with_amounts

    effective, own = with_amounts(limits.plan.of_one()), with_amounts(vars(limits.overrides))
    if as_json:
        facts = {
            "user": user,
            "rule": limits.rule,
            "limits": effective,
            "own": {name: value for name, value in own.items() if value is not None},
        }
        print_json(facts)
        return
    click.echo(f"{user}: {limits.rule}")
    print_rows(
        [
            {"limit": name, "value": value, "from": "own" if own.get(name) is not None else "plan"}
            for name, value in effective.items()
        ],
        as_json=False,
    )


@contextmanager
def _limit_admin() -> Iterator[LimitAdmin]:
    from broker.operators.limits import LimitAdmin

    with open_database() as (settings, database):
        yield LimitAdmin(settings, database, actor=actor())
