"""`broker users`: add, list, block, sign out and remove users, and change their passwords."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from broker.cli import completion
from broker.cli.options import issuer_option, json_option, reason_option, yes_option
from broker.cli.output import (
    actor,
    confirm,
    open_database,
    open_database_alone,
    print_honoured_until,
    print_json,
    print_rows,
)
from broker.principal import OPERATOR

if TYPE_CHECKING:
    from broker.operators.blocks import BlockAdmin
    from broker.operators.users import UserAdmin


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
    """Add USERNAME. Asks for the password twice, or reads it from standard input.

    Example without a terminal: broker users add alice < password-file
    """
    with _user_admin() as admin:
        admin.check_new(username, plan=plan, roles=roles)
        user = admin.add(username, read_password("Password: "), plan=plan, roles=roles)
    role = ", as an operator" if OPERATOR in user.roles else ""
    click.echo(f"Added {user.username} on plan {user.plan}{role}.")


@users.command("list")
@click.option("--plan", help="Only users whose own plan is this one.", shell_complete=completion.plans)
@click.option("--blocked", "blocked_only", is_flag=True, help="Only blocked users.")
@json_option
def users_list(plan: str | None, blocked_only: bool, as_json: bool) -> None:
    """List the broker's own users."""
    from broker.store.accounts.users import SqlUsers

    with open_database_alone() as database:
        rows = [
            {
                "username": user.username,
                "plan": user.plan,
                "team": user.team,
                "roles": sorted(user.roles),
                "blocked": user.blocked_at is not None,
                "created_at": user.created_at,
            }
            for user in SqlUsers(database).all()
            if (plan is None or user.plan == plan) and (user.blocked_at is not None or not blocked_only)
        ]
    print_rows(rows, as_json)


@users.command("show")
@click.argument("subject", shell_complete=completion.users)
@issuer_option
@json_option
def users_show(subject: str, issuer: str, as_json: bool) -> None:
    """Show what is known about SUBJECT: plan, roles, block, limits and use of today."""
    from broker.cli.user_facts import facts_of

    with open_database() as (settings, database):
        facts = facts_of(settings, database, subject, issuer)
    if as_json:
        print_json(facts)
    else:
        print_rows([{"": name, subject: value} for name, value in facts.items()], as_json=False)


@users.command("password")
@click.argument("username", shell_complete=completion.users)
def users_password(username: str) -> None:
    """Change the password of USERNAME. Asks for it twice, or reads it from standard input.

    All existing sign-ins and bearer tokens of the user become invalid.
    """
    with _user_admin() as admin:
        admin.check_known(username)
        admin.set_password(username, read_password("New password: "))
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


@users.command("set-team")
@click.argument("username", shell_complete=completion.users)
@click.argument("team", required=False)
@click.option("--clear", is_flag=True, help="Remove USERNAME from its team.")
def users_set_team(username: str, team: str | None, clear: bool) -> None:
    """Make USERNAME a member of TEAM, or of none with --clear. It applies to the next session.

    Open sessions stay charged to the team that they were opened for.
    """
    if (team is None) != clear:
        raise click.UsageError("Give either TEAM or --clear.")
    with _user_admin() as admin:
        admin.set_team(username, team)
    click.echo(f"{username} now belongs to {'no team' if team is None else f'the team {team}'}.")


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


@users.command("remove")
@click.argument("username", shell_complete=completion.users)
@yes_option
def users_remove(username: str, yes: bool) -> None:
    """Remove USERNAME for good, with password, sign-ins, roles and own limits.

    Sessions and the audit log stay until `broker purge` deletes them. A new user of the same name has what is
    left of today's minutes. Asks first; without a terminal, --yes is required.
    """
    with _user_admin() as admin:
        admin.check_known(username)
        confirm(f"Remove the user {username} for good?", yes)
        honoured_until = admin.remove(username)
    click.echo(f"Removed {username}. All existing sign-ins and bearer tokens are now invalid.")
    print_honoured_until(honoured_until)


@contextmanager
def _user_admin() -> Iterator[UserAdmin]:
    from broker.operators.users import UserAdmin

    with open_database() as (settings, database):
        yield UserAdmin(settings, database, actor=actor())


@contextmanager
def _block_admin() -> Iterator[BlockAdmin]:
    from broker.operators.blocks import BlockAdmin

    with open_database() as (settings, database):
        yield BlockAdmin(settings, database, actor=actor())


def read_password(prompt: str) -> str:
    """Asks twice at a terminal, because nobody sees what they type. Otherwise reads a line."""
    import getpass

    from broker.operators.errors import OperatorError

    if sys.stdin.isatty():
        password = getpass.getpass(prompt)
        if getpass.getpass("The same again: ") != password:
            raise OperatorError("the two passwords differ")
        return password
    # UTF-8, as browsers send passwords, whatever the terminal's encoding is.
    source = getattr(sys.stdin, "buffer", None)
    try:
        line = sys.stdin.readline() if source is None else source.readline().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OperatorError("the password is not UTF-8") from None
    return line.rstrip("\r\n")
