"""`broker sessions`: list the sessions that hold a place, and end open ones."""

from __future__ import annotations

import click

from broker.cli import completion
from broker.cli.options import issuer_option, json_option
from broker.cli.output import actor, money, open_database, print_honoured_until, print_rows
from broker.principal import principal_key

_MOST_SESSIONS = 1000


@click.group()
def sessions() -> None:
    """List and end open sessions."""


@sessions.command("list")
@click.option("--user", help="Only this user's sessions.", shell_complete=completion.users)
@issuer_option
@json_option
def sessions_list(user: str | None, issuer: str, as_json: bool) -> None:
    """List the sessions that hold a place, newest first.

    An ended session may hold its place until its token expires. Each place becomes free at `held_until`.
    """
    from broker.settings import PriceList
    from broker.settings.amounts import amount
    from broker.store.reporting.sessions import SqlSessions

    key = None if user is None else principal_key(issuer, user)
    with open_database() as (settings, database):
        prices = PriceList(settings.config.prices)
        page = SqlSessions(database).page(principal_key=key, limit=_MOST_SESSIONS)
        rows = [
            {
                "id": row.id,
                "issuer": row.issuer,
                "user": row.subject,
                "team": row.team,
                "profile": row.profile,
                "state": row.state.value,
                "opened_at": row.opened_at,
                "ends_at": row.ends_at,
                "heartbeat_at": row.heartbeat_at,
                "held_until": row.held_until,
                "cost": cost and (amount(cost.nanos) if as_json else money(amount(cost.nanos))),
                "currency": cost and cost.currency,
            }
            for row, cost in ((row, row.cost(prices)) for row in page)
        ]
    print_rows(rows, as_json)


@sessions.command("end")
@click.argument("session_id", shell_complete=completion.sessions)
def sessions_end(session_id: str) -> None:
    """End SESSION_ID. It gets no further token. Its page learns of this at its next heartbeat."""
    from broker.operators.sessions import SessionAdmin

    with open_database() as (_, database):
        honoured_until = SessionAdmin(database, actor=actor()).end(session_id)
    click.echo(f"Ended {session_id}.")
    print_honoured_until(honoured_until)
