"""`broker explain`: the answer to a user's next `POST /token`, without sending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from broker.cli import completion
from broker.cli.options import issuer_option, json_option
from broker.cli.output import actor, open_database, print_json

if TYPE_CHECKING:
    from broker.issuing.dry_run import DryRun


@click.command("explain")
@click.argument("username", shell_complete=completion.users)
@click.option(
    "--profile",
    help="The profile of the request. Without it, the default profile.",
    shell_complete=completion.profiles,
)
@issuer_option
@json_option
def explain(username: str, profile: str | None, issuer: str, as_json: bool) -> None:
    """Explain the answer to USERNAME's next POST /token.

    Shows the answer, the limits, what is left of them and the rule that decides. Counts nothing.
    """
    from broker.operators.users import UserAdmin

    with open_database() as (settings, database):
        preview = UserAdmin(settings, database, actor=actor()).explain(username, profile, issuer)
    if as_json:
        print_json({"user": username, **preview.to_json()})
    else:
        _print(preview)


def _print(preview: DryRun) -> None:
    answer = preview.to_json()
    limits = ", ".join(f"{name} {value}" for name, value in answer["limits"].items() if value is not None)
    click.echo(f"Rule     {preview.rule}: {limits}")
    for rate in preview.rates:
        wait = f", one more in {rate.reset} s" if rate.remaining < rate.limit else ""
        click.echo(f"Left     {rate.remaining} of {rate.policy}{wait}")
    click.echo(f"Open     {preview.usage.open} of {preview.limits.sessions} sessions")
    for session in preview.placed:
        free = session.held_until.isoformat(timespec="seconds")
        click.echo(f"         {session.id}, {session.state}: its place is free at {free}")
    click.echo(f"Used     {preview.usage.used_minutes} of {preview.limits.minutes_per_day} minutes today")
    for bound in answer["budgets"]:
        of = f"{bound['used']} of {bound['limit']} {bound['currency'] or 'minutes'}"
        click.echo(f"Budget   {of} ({bound['policy']}) until {bound['resets_at']}")
    if team := answer["team"]:
        _print_team(team)
    most = preview.usage.quota.most_forgiven_seconds // 60
    click.echo(f"Unused   {preview.usage.forgiven_minutes} of {most} minutes given back today")
    click.echo(f"Profile  {preview.profile}")
    detail = f": {answer['detail']}" if answer["detail"] else ""
    click.echo(f"Answer   {answer['status']} {preview.answer}{detail}")


def _print_team(team: dict[str, Any]) -> None:
    shared = [f"{name} {value}" for name, value in team["limits"].items() if value is not None]
    click.echo(f"Team     {team['name']} ({team['rule']}): {', '.join(shared) or 'no limits'}")
    for rate in team["left"]:
        click.echo(f"         {rate['remaining']} of {rate['policy']} left")
    if team["limits"]["sessions"] is not None:
        click.echo(f"         {team['open_sessions']} of {team['limits']['sessions']} sessions open")
    if team["limits"]["minutes_per_day"] is not None:
        click.echo(f"         {team['used_minutes']} of {team['limits']['minutes_per_day']} minutes today")
    for bound in team["budgets"]:
        of = f"{bound['used']} of {bound['limit']} {bound['currency'] or 'minutes'}"
        click.echo(f"         {of} ({bound['policy']}) until {bound['resets_at']}")
