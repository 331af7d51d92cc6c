"""The command `broker check`: what it tries, with which options, and its exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from broker.cli.options import json_option
from broker.cli.output import environment, print_json

if TYPE_CHECKING:
    from broker.settings import BrokerConfig


_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--diff", "old", type=_FILE, help="Print what FILE changes in this broker.toml, and for whom.")
@click.option("--speak", is_flag=True, help="Connect to the Live API with a token and speak a line.")
@click.option("--prove-lock", "lock", is_flag=True, help="Try to get past the lock of each profile.")
@click.option("--profile", "profiles", multiple=True, help="Only this profile. May be repeated.")
@json_option
@click.option(
    "--report",
    type=_FILE,
    help="Also write the results of --speak or --prove-lock to this file, as Markdown.",
)
def check(
    file: Path | None,
    old: Path | None,
    speak: bool,
    lock: bool,
    profiles: tuple[str, ...],
    as_json: bool,
    report: Path | None,
) -> None:
    """Check that this installation can mint tokens.

    Checks the settings, the store, the keys of each issuer and a real mint of each profile.

    With FILE, checks only this broker.toml: no environment, no store, no network. Exit status: 0 valid, 2
    invalid. With --diff, also 1: valid, and something changes. --json needs --diff here.

    With --speak or --prove-lock, it opens sessions at the Live API instead, which cost money: one for each
    profile with --speak, about 60 short ones with --prove-lock. Exit status: 0 all succeeded, 1 something
    failed, 3 something could not be tried.
    """
    if file is not None or old is not None:
        if speak or lock or profiles or report:
            raise click.UsageError("FILE and --diff can be combined with --json only")
        sys.exit(_check_file(file, old, as_json))
    if not (speak or lock):
        if profiles or as_json or report:
            raise click.UsageError("--profile, --json and --report need --speak or --prove-lock")
        from broker.cli.check import run

        sys.exit(0 if run(click.echo, environment()) else 1)
    sys.exit(_prove(speak, lock, profiles, as_json, report))


def _check_file(file: Path | None, old: Path | None, as_json: bool) -> int:
    if file is None:
        raise click.UsageError("--diff needs FILE, the new broker.toml")
    from dataclasses import asdict

    from broker.settings.changes import changes

    config, warnings = _read(file)
    if old is None:
        for warning in warnings:
            click.echo(f"WARN  {warning}", err=True)
        click.echo(f"ok    {file}")
        return 0
    found = changes(_read(old)[0], config)
    if as_json:
        print_json([asdict(change) for change in found])
    for change in found if not as_json else ():
        values = " -> ".join(value for value in (change.before, change.after) if value is not None)
        click.echo(f"{change.kind:8}{change.key}{': ' if values else ''}{values}  ({change.concerns})")
    if not found and not as_json:
        click.echo("Nothing changes.")
    return 1 if found else 0


def _read(path: Path) -> tuple[BrokerConfig, Sequence[str]]:
    """The file and its warnings. Raises SettingsError with all faults."""
    from broker.minting.compile import profile_faults
    from broker.settings import document
    from broker.settings.environment import unpriced
    from broker.settings.faults import SettingsError

    config, profiles, faults = document.read(path)
    if faults := [*faults, *profile_faults(profiles)]:
        raise SettingsError(f"{path}: {fault.removeprefix('broker.toml: ')}" for fault in faults)
    assert config is not None
    return config, unpriced(config)


def _prove(speech: bool, lock: bool, names: tuple[str, ...], as_json: bool, path: Path | None) -> int:
    from broker.app import load_settings
    from broker.cli import trial
    from broker.cli.proof.run import prove

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
