"""The command `broker`. Each command is a thin call into `ops`, `store.migrate` or `dev`.

Exit status: 0 done, 1 refused, 2 a wrong call or wrong settings. Secrets come from stdin, never from
arguments, which other users of the machine can read.
"""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from broker import settings as settings_module
from broker.errors import Refusal
from broker.ops import Ops, OpsError
from broker.settings import Settings, SettingsError
from broker.store import migrate
from broker.store.engine import Database


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="live-broker")
def cli() -> None:
    """Live Broker: locked, short-lived Gemini Live API tokens for signed-in users."""


@cli.command()
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
def dev(port: int) -> None:
    """Run the broker on loopback with a demo user, and with the stand-in unless GEMINI_API_KEY is set."""
    from broker.dev import run

    sys.exit(run(port))


@cli.command()
@click.option("--port", default=9090, show_default=True, type=click.IntRange(0, 65535))
def standin(port: int) -> None:
    """Run the stand-in for the Live API alone, on loopback."""
    from broker.standin.__main__ import main as standin_main

    sys.exit(standin_main(["--port", str(port)]))


@cli.command()
def check() -> None:
    """Check the settings, the store and a real mint, and say what is wrong."""
    from broker.check import run

    sys.exit(0 if run(click.echo) else 1)


@cli.group()
def users() -> None:
    """Own users."""


@users.command("add")
@click.argument("username")
@click.option("--plan", default="default", show_default=True)
@click.option("--operator", is_flag=True, help="May set limits and watch what is used.")
def users_add(username: str, plan: str, operator: bool) -> None:
    """Add USERNAME with the password that comes on stdin: echo pw | broker users add alice."""
    password = _read_secret("Password: ")
    with _ops() as ops:
        user = ops.add_user(username, password, plan=plan, roles=["operator"] if operator else [])
    click.echo(f"Added {user.username} on plan {user.plan}.")


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
                "created_at": user.created_at.isoformat(timespec="seconds") if user.created_at else None,
            }
            for user in ops.users()
        ]
    _print_rows(rows, as_json)


@cli.command("token")
@click.argument("username")
def token(username: str) -> None:
    """Print a bearer of USERNAME, for trying things out."""
    with _ops() as ops:
        click.echo(ops.access_token(username))


@cli.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's schema. Running it again changes nothing."""
    with _database() as (_, database):
        before, after = migrate.upgrade(database)
    click.echo(f"The database is at {after}." if before == after else f"Upgraded {before} -> {after}.")


@contextmanager
def _database() -> Iterator[tuple[Settings, Database]]:
    settings = settings_module.load()
    database = Database(settings.database_url.get_secret_value(), pool_size=2)
    try:
        yield settings, database
    finally:
        database.dispose()


@contextmanager
def _ops() -> Iterator[Ops]:
    with _database() as (settings, database):
        yield Ops(settings, database, actor=f"cli:{getpass.getuser()}")


def _read_secret(prompt: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    return sys.stdin.readline().rstrip("\r\n")


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("None.")
        return
    table = [list(rows[0]), *[[_cell(value) for value in row.values()] for row in rows]]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value if value is not None else "-")


def main() -> None:
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except SettingsError as error:
        click.echo("The settings have faults:" + "".join(f"\n  - {f}" for f in error.faults), err=True)
        sys.exit(2)
    except OpsError as error:
        click.echo(f"Refused: {error}", err=True)
        sys.exit(1)
    except Refusal as refusal:
        click.echo(f"Refused: {refusal.code}: {refusal.detail or refusal.title}", err=True)
        sys.exit(1)
