"""The command `broker check`: what it tries, with which options, and its exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from broker.cli.options import json_option
from broker.cli.output import environment, print_json


@click.command()
@click.option("--speak", is_flag=True, help="Connect to the Live API with a token and speak a line.")
@click.option("--prove-lock", "lock", is_flag=True, help="Try to get past the lock of each profile.")
@click.option("--profile", "profiles", multiple=True, help="Only this profile. May be repeated.")
@json_option
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the results of --speak and --prove-lock to this file, as Markdown.",
)
def check(speak: bool, lock: bool, profiles: tuple[str, ...], as_json: bool, report: Path | None) -> None:
    """Check that this installation can mint tokens.

    Checks the settings, the store, the keys of each issuer and a real mint of each profile.

    With --speak or --prove-lock, it opens sessions at the Live API instead, which cost money: about 60 short
    ones for each profile. Exit status: 0 all succeeded, 1 something failed, 3 something could not be tried.
    """
    if not (speak or lock):
        if profiles or as_json or report:
            raise click.UsageError("--profile, --json and --report need --speak or --prove-lock")
        from broker.cli.check import run

        sys.exit(0 if run(click.echo, environment()) else 1)
    sys.exit(_prove(speak, lock, profiles, as_json, report))


def _prove(speech: bool, lock: bool, names: tuple[str, ...], as_json: bool, path: Path | None) -> int:
    from broker.app import load_settings
    from broker.cli import trial
    from broker.proof.run import prove

    settings = load_settings(environment())
    known = settings.config.profiles
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"no profile {unknown[0]!r}; there are {', '.join(known)}")

    def say(line: str) -> None:
        click.echo(line, err=True)

    with trial.minter_of(settings) as minter:
        report = prove(settings, minter, list(names or known), speech=speech, lock=lock, say=say)
    if path is not None:
        path.write_text(report.to_markdown(), "utf-8")
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(report.to_markdown(), nl=False)
    return report.status
