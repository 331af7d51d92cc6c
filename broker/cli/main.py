"""The command `broker`. Each command is a thin call into `operators`, `store.database.migrate` or `cli.dev`.

Exit status: 0 done, 1 rejected, 2 wrong usage or invalid settings. `broker check` also has 3. Secrets are
read from standard input and never from arguments, which other users of the machine can read.
"""

from __future__ import annotations

import gc
import io
import sys

import click

from broker.cli.audit import audit
from broker.cli.blocks import blocks
from broker.cli.check_command import check
from broker.cli.completion import completion
from broker.cli.explain import explain
from broker.cli.keys import keys
from broker.cli.limits import limits
from broker.cli.output import open_database
from broker.cli.probe import probe
from broker.cli.purge import purge
from broker.cli.reload import reload
from broker.cli.sessions import sessions
from broker.cli.suspension import resume, suspend
from broker.cli.teams import teams
from broker.cli.token import token
from broker.cli.usage import usage
from broker.cli.users import users


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="live-broker")
@click.option("--dev", "dev_database", is_flag=True, help="Use the database of `broker dev` in this folder.")
def cli(dev_database: bool) -> None:
    """Live Broker: locked, short-lived Gemini Live API tokens for signed-in users."""


@cli.command()
@click.option(
    "--port",
    envvar="PORT",
    default=8080,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="The port to listen on. Also read from PORT.",
)
def dev(port: int) -> None:
    """Run the broker on this machine, with a demo user and an operator.

    Talks to Google if GEMINI_API_KEY is set, and to the stand-in otherwise.
    """
    from broker.cli.dev import run

    sys.exit(run(port))


@cli.command()
@click.option(
    "--port",
    default=9090,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 for any free port.",
)
@click.option("--tls", is_flag=True, help="Serve https and wss with a temporary certificate.")
def standin(port: int, tls: bool) -> None:
    """Run only the stand-in for the Live API, on this machine."""
    from broker.cli.dev import require_standin

    require_standin()
    from broker.standin.__main__ import main as standin_main

    sys.exit(standin_main(["--port", str(port), *(["--tls"] if tls else [])]))


@cli.group()
def db() -> None:
    """Manage the database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Upgrade the database to this version's schema. A second run changes nothing."""
    from broker.store.database import migrate

    with open_database() as (_, database):
        before, after = migrate.upgrade(database)
    click.echo(f"The database is current: {after}." if before == after else f"Upgraded {before} -> {after}.")


for _command in (
    check,
    probe,
    users,
    blocks,
    token,
    explain,
    keys,
    limits,
    teams,
    sessions,
    usage,
    suspend,
    resume,
    audit,
    purge,
    reload,
    completion,
):
    cli.add_command(_command)


def main() -> None:
    # While libraries are loaded, there is no garbage. The collector would look for it a hundred times.
    gc.set_threshold(100_000)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not have every letter
            stream.reconfigure(errors="backslashreplace")
    try:
        cli(prog_name="broker", standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.Abort:
        sys.exit(130)
    except Exception as error:
        from broker.cli.failures import report

        if (status := report(error)) is None:
            raise
        sys.exit(status)
