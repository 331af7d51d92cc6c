"""`broker users`: add, list, block and sign out users, and change their passwords."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from broker.cli import completion
from broker.cli.options import issuer_option, json_option, reason_option
from broker.cli.output import actor, open_database, print_honoured_until, print_rows, time
from broker.operators.blocks import BlockAdmin
from broker.operators.errors import OperatorError
from broker.operators.users import UserAdmin
from broker.principal import OPERATOR
from broker.store.accounts.users import SqlUsers


@click.group()
def users() -> None:
    """Manage users."""


@users.command("add")
@click.argument("username")
@click.option(
    "--plan",
    default="default",
    show_default=True,
    help="The plan whose limits apply.",
    shell_complete=completion.plans,
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([OPERATOR]),
    help="An operator can manage users, limits and sessions over HTTP and on the page /ops.",
)
def users_add(username: str, plan: str, roles: tuple[str, ...]) -> None:
    """Add USERNAME. Reads the password from standard input.

    Example: echo "a long password" | broker users add alice
    """
    password = _read_password("Password: ")
    with _user_admin() as admin:
        user = admin.add(username, password, plan=plan, roles=roles)
    role = ", as an operator" if OPERATOR in user.roles else ""
    click.echo(f"Added {user.username} on plan {user.plan}{role}.")


@users.command("list")
@json_option
def users_list(as_json: bool) -> None:
    """List the broker's own users."""
    with open_database() as (_, database):
        rows = [
            {
                "username": user.username,
                "plan": user.plan,
                "roles": sorted(user.roles),
                "blocked": user.blocked_at is not None,
                "created_at": time(user.created_at),
            }
            for user in SqlUsers(database).all()
        ]
    print_rows(rows, as_json)


@users.command("password")
@click.argument("username", shell_complete=completion.users)
def users_password(username: str) -> None:
    """Change the password of USERNAME. Reads the new password from standard input.

    All existing sign-ins and bearer tokens of the user become invalid.
    """
    password = _read_password("New password: ")
    with _user_admin() as admin:
        admin.set_password(username, password)
    click.echo(
        f"Changed the password of {username}. All existing sign-ins and bearer tokens are now invalid."
    )


@users.command("set-role")
@click.argument("username", shell_complete=completion.users)
@click.argument("role", type=click.Choice([OPERATOR, "none"]))
def users_set_role(username: str, role: str) -> None:
    """Make USERNAME an operator, or take that role away with `none`. It applies to the next request."""
    with _user_admin() as admin:
        admin.set_roles(username, () if role == "none" else (role,))
    click.echo(f"{username} is {'no longer an operator' if role == 'none' else 'now an operator'}.")


@users.command("block")
@click.argument("subject", shell_complete=completion.users)
@issuer_option
@reason_option
def users_block(subject: str, issuer: str, reason: str) -> None:
    """Block SUBJECT. The block applies to the next request.

    SUBJECT is a user name, or with --issuer the subject of another issuer's user. A session that is open at
    Google continues until its token expires.
    """
    with _block_admin() as admin:
        honoured_until = admin.block(subject, issuer, reason=reason)
    click.echo(f"Blocked {subject}. All existing sign-ins and bearer tokens are now invalid.")
    print_honoured_until(honoured_until)


@users.command("unblock")
@click.argument("subject", shell_complete=completion.users)
@issuer_option
def users_unblock(subject: str, issuer: str) -> None:
    """Unblock SUBJECT. The user has to sign in again; a service key works again at once."""
    with _block_admin() as admin:
        admin.unblock(subject, issuer)
    click.echo(f"Unblocked {subject}.")


@users.command("sign-out")
@click.argument("subject", shell_complete=completion.users)
@issuer_option
def users_sign_out(subject: str, issuer: str) -> None:
    """Sign SUBJECT out everywhere. All existing sign-ins and bearer tokens become invalid."""
    with _user_admin() as admin:
        admin.sign_out(subject, issuer)
    click.echo(f"Signed out {subject}. All existing sign-ins and bearer tokens are now invalid.")


@contextmanager
def _user_admin() -> Iterator[UserAdmin]:
    with open_database() as (settings, database):
        yield UserAdmin(settings, database, actor=actor())


@contextmanager
def _block_admin() -> Iterator[BlockAdmin]:
    with open_database() as (settings, database):
        yield BlockAdmin(settings, database, actor=actor())


def _read_password(prompt: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    # UTF-8, as browsers send passwords, whatever the terminal's encoding is.
    source = getattr(sys.stdin, "buffer", None)
    try:
        line = sys.stdin.readline() if source is None else source.readline().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OperatorError("the password is not UTF-8") from None
    return line.rstrip("\r\n")
