"""The commands about people: `broker users`, `blocks`, `token` and `explain`."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from broker.cli import completion as cli_complete
from broker.cli.output import actor, open_database, print_rows, time
from broker.net.timestamps import rfc3339
from broker.operators.users import Ops
from broker.principal import OPERATOR, OWN_ISSUER


@click.group()
def users() -> None:
    """Own users."""


@users.command("add")
@click.argument("username")
@click.option("--plan", default="default", show_default=True, shell_complete=cli_complete.plans)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([OPERATOR]),
    help="An operator may set limits, end sessions and watch what is used, over HTTP and on the page /ops.",
)
def users_add(username: str, plan: str, roles: tuple[str, ...]) -> None:
    """Add USERNAME with the password that comes on stdin: echo pw | broker users add alice."""
    password = _read_secret("Password: ")
    with _ops() as ops:
        user = ops.add_user(username, password, plan=plan, roles=roles)
    role = ", an operator" if OPERATOR in user.roles else ""
    click.echo(f"Added {user.username} on plan {user.plan}{role}.")


@users.command("list")
@click.option("--json", "as_json", is_flag=True)
def users_list(as_json: bool) -> None:
    """List the users."""
    with _ops() as ops:
        rows = [
            {
                "username": user.username,
                "plan": user.plan,
                "roles": sorted(user.roles),
                "blocked": user.blocked_at is not None,
                "created_at": time(user.created_at),
            }
            for user in ops.users()
        ]
    print_rows(rows, as_json)


@users.command("password")
@click.argument("username", shell_complete=cli_complete.users)
def users_password(username: str) -> None:
    """Give USERNAME the password that comes on stdin. Ends every sign-in and bearer of the user."""
    password = _read_secret("New password: ")
    with _ops() as ops:
        ops.set_password(username, password)
    click.echo(f"Changed the password of {username}; every sign-in and bearer of before has ended.")


_issuer_option = click.option(
    "--issuer",
    default=OWN_ISSUER,
    show_default=True,
    help="Who vouches for SUBJECT: the `iss` of its tokens.",
)
_reason_option = click.option("--reason", default="", help="Kept with the block and in the audit trail.")


@users.command("block")
@click.argument("subject", shell_complete=cli_complete.users)
@_issuer_option
@_reason_option
def users_block(subject: str, issuer: str, reason: str) -> None:
    """Turn SUBJECT away from the next request on; SUBJECT is a user name, or another issuer's subject."""
    with _ops() as ops:
        honoured_until = ops.block(subject, issuer, reason=reason)
    click.echo(f"Blocked {subject}; every sign-in and bearer of before has ended.")
    if honoured_until is not None:
        click.echo(f"Google may honour tokens already given until {rfc3339(honoured_until)}.")


@users.command("unblock")
@click.argument("subject", shell_complete=cli_complete.users)
@_issuer_option
def users_unblock(subject: str, issuer: str) -> None:
    """Let SUBJECT in again. Own users have to sign in anew."""
    with _ops() as ops:
        ops.unblock(subject, issuer)
    click.echo(f"Unblocked {subject}.")


@users.command("sign-out")
@click.argument("subject", shell_complete=cli_complete.users)
@_issuer_option
def users_sign_out(subject: str, issuer: str) -> None:
    """End every sign-in and bearer of SUBJECT that was issued before now."""
    with _ops() as ops:
        ops.sign_out(subject, issuer)
    click.echo(f"Every sign-in and bearer of {subject} of before has ended.")


@click.group()
def blocks() -> None:
    """Blocks of single tokens and of whole issuers; `users block` is for one user."""


@blocks.command("add")
@click.option("--issuer", required=True, help="The `iss` of the tokens.")
@click.option("--jti", help="One token's id. Without it everybody of the issuer is turned away.")
@_reason_option
def blocks_add(issuer: str, jti: str | None, reason: str) -> None:
    """Turn away one token, or everybody whom an issuer vouches for."""
    with _ops() as ops:
        if jti is None:
            ops.block_issuer(issuer, reason=reason)
        else:
            ops.block_token(issuer, jti, reason=reason)
    click.echo("Blocked.")


@blocks.command("remove")
@click.option("--issuer", required=True)
@click.option("--jti")
def blocks_remove(issuer: str, jti: str | None) -> None:
    """Lift what `blocks add` with the same options did."""
    with _ops() as ops:
        ops.lift_block(issuer, jti)
    click.echo("Lifted.")


@blocks.command("list")
@click.option("--json", "as_json", is_flag=True)
def blocks_list(as_json: bool) -> None:
    """List the blocks; blocked own users are in `users list`."""
    with _ops() as ops:
        rows = [
            {
                "kind": str(row.kind),
                "issuer": row.issuer,
                "subject": row.subject,
                "issued_before": time(row.issued_before),
                "reason": row.reason,
                "created_at": time(row.created_at),
            }
            for row in ops.blocks()
        ]
    print_rows(rows, as_json)


@click.command("token")
@click.argument("username", shell_complete=cli_complete.users)
def token(username: str) -> None:
    """Print a bearer of USERNAME, for trying things out. It is good for an hour."""
    with _ops() as ops:
        click.echo(ops.access_token(username))


@click.command("explain")
@click.argument("username", shell_complete=cli_complete.users)
@click.option("--profile", help="As in the body of POST /token.", shell_complete=cli_complete.profiles)
@_issuer_option
@click.option("--json", "as_json", is_flag=True)
def explain(username: str, profile: str | None, issuer: str, as_json: bool) -> None:
    """Say what USERNAME's next POST /token would be told, and which rule decides. Counts nothing."""
    with _ops() as ops:
        preview = ops.explain(username, profile, issuer)
    refusal = preview.refusal
    facts = {"user": username, **preview.to_json()}
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    limits = ", ".join(f"{name} {value}" for name, value in preview.limits.of_one().items())
    click.echo(f"Rule     {preview.rule}: {limits}")
    for part in preview.rates:
        wait = f", one more in {part.reset} s" if part.remaining < part.limit else ""
        click.echo(f"Left     {part.remaining} of {part.policy}{wait}")
    click.echo(f"Open     {preview.usage.open} of {preview.limits.sessions} sessions")
    click.echo(f"Used     {preview.usage.used_minutes} of {preview.limits.minutes_per_day} minutes today")
    click.echo(f"Profile  {preview.profile}")
    click.echo(f"Answer   {facts['status']} {preview.answer}" + (f": {facts['detail']}" if refusal else ""))


@contextmanager
def _ops() -> Iterator[Ops]:
    with open_database() as (settings, database):
        yield Ops(settings, database, actor=actor())


def _read_secret(prompt: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\r\n")
