"""The command `broker`. Each command is a thin call into `ops`, `store.migrate` or `dev`.

Exit status: 0 done, 1 refused, 2 a wrong call or wrong settings. Secrets come from stdin, never from
arguments, which other users of the machine can read.
"""

from __future__ import annotations

import sys

import click

from broker.cli.keys import keys
from broker.cli.limits import limits, sessions
from broker.cli.output import open_database
from broker.cli.suspension import resume, suspend
from broker.cli.users import blocks, explain, token, users
from broker.errors import Refusal
from broker.operators.users import OpsError
from broker.settings import SettingsError
from broker.store.database import migrate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="live-broker")
def cli() -> None:
    """Live Broker: locked, short-lived Gemini Live API tokens for signed-in users."""


@cli.command()
@click.option("--port", envvar="PORT", default=8080, show_default=True, type=click.IntRange(1, 65535))
def dev(port: int) -> None:
    """Run the broker on loopback with a demo user, and with the stand-in unless GEMINI_API_KEY is set."""
    from broker.cli.dev import run

    sys.exit(run(port))


@cli.command()
@click.option("--port", default=9090, show_default=True, type=click.IntRange(0, 65535))
@click.option("--tls", is_flag=True, help="Serve https and wss with a throw-away certificate.")
def standin(port: int, tls: bool) -> None:
    """Run the stand-in for the Live API alone, on loopback."""
    from broker.cli.dev import require_standin

    require_standin()
    from broker.standin.__main__ import main as standin_main

    sys.exit(standin_main(["--port", str(port), *(["--tls"] if tls else [])]))


@cli.command()
def check() -> None:
    """Check the settings, the store and a real mint, and say what is wrong."""
    from broker.cli.check import run

    sys.exit(0 if run(click.echo) else 1)


@cli.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's schema. Running it again changes nothing."""
    with open_database() as (_, database):
        before, after = migrate.upgrade(database)
    click.echo(f"The database is at {after}." if before == after else f"Upgraded {before} -> {after}.")


for _command in (users, blocks, token, explain, keys, limits, sessions, suspend, resume):
    cli.add_command(_command)


def main() -> None:
    try:
        cli(prog_name="broker", standalone_mode=False)
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
