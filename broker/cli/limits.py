"""`broker limits` and `broker sessions`: what single users may do, and what they have open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from broker.cli import completion as cli_complete
from broker.cli.output import actor, open_database, print_rows, time
from broker.net.timestamps import rfc3339
from broker.operators.limits import FIELDS, LimitOps, Limits
from broker.principal import OWN_ISSUER

_issuer_option = click.option(
    "--issuer", default=OWN_ISSUER, show_default=True, help="Who vouches for USER: the `iss` of its tokens."
)
_json_option = click.option("--json", "as_json", is_flag=True)


@click.group()
def limits() -> None:
    """Limits of single users; without them a user has those of its plan."""


@limits.command("show")
@click.argument("user", shell_complete=cli_complete.users)
@_issuer_option
@_json_option
def limits_show(user: str, issuer: str, as_json: bool) -> None:
    """Show what holds for USER and which of it is USER's own."""
    with _ops() as ops:
        _print(user, ops.show(user, issuer), as_json)


@limits.command("list")
@_json_option
def limits_list(as_json: bool) -> None:
    """List the users for whom something is set."""
    with _ops() as ops:
        rows = [
            {
                "issuer": row.issuer,
                "user": row.subject,
                **vars(row.overrides),
                "updated": time(row.updated_at),
            }
            for row in ops.all()
        ]
    print_rows(rows, as_json)


@limits.command("set")
@click.argument("user", shell_complete=cli_complete.users)
@click.option("--plan", help="In place of USER's own plan.", shell_complete=cli_complete.plans)
@click.option("--rate", help='Requests for a token, such as "10/minute; 200/day".')
@click.option("--sessions", type=int, help="Open at once.")
@click.option("--minutes-per-day", type=int, help="Of talk, over all sessions.")
@click.option("--session-minutes", type=int, help="The longest single session; from now on.")
@_issuer_option
@_json_option
def limits_set(user: str, issuer: str, as_json: bool, **changes: Any) -> None:
    """Give USER limits of its own. What is not named stays as it is. Holds from the next request on."""
    with _ops() as ops:
        given = {name: value for name, value in changes.items() if value is not None}
        _print(user, ops.set(user, given, issuer), as_json)


@limits.command("clear")
@click.argument("user", shell_complete=cli_complete.users)
@click.option("--only", "fields", multiple=True, type=click.Choice(FIELDS), help="Only this one; repeatable.")
@_issuer_option
@_json_option
def limits_clear(user: str, fields: tuple[str, ...], issuer: str, as_json: bool) -> None:
    """Let USER's plan decide again."""
    with _ops() as ops:
        _print(user, ops.clear(user, fields, issuer), as_json)


@click.group()
def sessions() -> None:
    """Open sessions."""


@sessions.command("list")
@click.option("--user", help="Of one user only.", shell_complete=cli_complete.users)
@_issuer_option
@_json_option
def sessions_list(user: str | None, issuer: str, as_json: bool) -> None:
    """List the sessions that count as open, the newest first."""
    with _ops() as ops:
        rows = [
            {
                "id": row.id,
                "issuer": row.issuer,
                "user": row.subject,
                "profile": row.profile,
                "opened_at": time(row.opened_at),
                "ends_at": time(row.ends_at),
                "heartbeat_at": time(row.heartbeat_at),
            }
            for row in ops.sessions(user, issuer)
        ]
    print_rows(rows, as_json)


@sessions.command("end")
@click.argument("session_id", shell_complete=cli_complete.sessions)
def sessions_end(session_id: str) -> None:
    """End SESSION_ID: no further token, and its page is told at its next heartbeat."""
    with _ops() as ops:
        honoured_until = ops.end_session(session_id)
    click.echo(f"Ended {session_id}.")
    if honoured_until is not None:
        click.echo(f"Google may honour its last token until {rfc3339(honoured_until)}.")


def _print(user: str, limits: Limits, as_json: bool) -> None:
    effective, own = limits.plan.of_one(), vars(limits.overrides)
    if as_json:
        facts = {
            "user": user,
            "rule": limits.rule,
            "limits": effective,
            "own": {name: value for name, value in own.items() if value is not None},
        }
        click.echo(json.dumps(facts, indent=2))
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
def _ops() -> Iterator[LimitOps]:
    with open_database() as (settings, database):
        yield LimitOps(settings, database, actor=actor())
