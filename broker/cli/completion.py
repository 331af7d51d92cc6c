"""Shell completion: existing names of users, plans, profiles, keys and sessions, and `broker completion`.

Reads the settings and the database, as the commands do. On any fault it offers nothing, because a completion
must never print an error into the command line that someone is typing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from broker.cli.output import open_database

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from broker.settings import Settings
    from broker.store.database.engine import Database

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]
_MOST_SESSIONS = 1000
_MOST_ITEMS = 200
_VARIABLE = "_BROKER_COMPLETE"
"""Click's name for the variable in which the shell asks."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes `broker` in SHELL.

    bash and zsh: add `eval "$(broker completion bash)"` to ~/.bashrc, or the same with zsh to ~/.zshrc. fish:
    `broker completion fish > ~/.config/fish/completions/broker.fish`.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "broker", _VARIABLE).source())


def _completing(names: Callable[[Settings, Database], Iterable[tuple[str, str]]]) -> Complete:
    """`names` returns each name with a short description."""

    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from broker.errors import Refusal
        from broker.operators.errors import OperatorError
        from broker.settings import SettingsError

        try:
            with open_database(context) as (settings, database):
                found = [(name, about) for name, about in names(settings, database) if name.startswith(begun)]
        except (SettingsError, Refusal, OperatorError, OSError):
            return []
        return [CompletionItem(name, help=about) for name, about in found[:_MOST_ITEMS]]

    return complete


def _users(_: Settings, database: Database) -> Iterable[tuple[str, str]]:
    from broker.store.accounts.users import SqlUsers

    return [(user.username, user.plan) for user in SqlUsers(database).all()]


def _plans(settings: Settings, _: Database) -> Iterable[tuple[str, str]]:
    return [(name, plan.rate) for name, plan in settings.config.plans.items()]


def _profiles(settings: Settings, _: Database) -> Iterable[tuple[str, str]]:
    return [(name, profile.description) for name, profile in settings.config.profiles.items()]


def _keys(_: Settings, database: Database) -> Iterable[tuple[str, str]]:
    from broker.store.accounts.service_keys import SqlServiceKeys

    return [(key.name, key.plan) for key in SqlServiceKeys(database).page()]


def _sessions(_: Settings, database: Database) -> Iterable[tuple[str, str]]:
    from broker.sessions.session import SessionState
    from broker.store.reporting.sessions import SqlSessions

    rows = SqlSessions(database).page(limit=_MOST_SESSIONS)
    return [(row.id, f"{row.name}, {row.profile}") for row in rows if row.state is SessionState.OPEN]


users = _completing(_users)
plans = _completing(_plans)
profiles = _completing(_profiles)
keys = _completing(_keys)
sessions = _completing(_sessions)
