"""Shell completion: existing names of users, plans, profiles, keys and sessions.

Reads the settings and the database, as the commands do. On any fault it offers nothing, because a completion
must never print an error into the command line that someone is typing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from broker.cli.output import open_database
from broker.errors import Refusal
from broker.sessions.session import SessionState
from broker.settings import Settings, SettingsError
from broker.store.accounts.service_keys import SqlServiceKeys
from broker.store.accounts.users import SqlUsers
from broker.store.database.engine import Database
from broker.store.reporting.sessions import SqlSessions

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_MOST_SESSIONS = 1000
_MOST_ITEMS = 200


def _completing(names: Callable[[Settings, Database], Iterable[tuple[str, str]]]) -> Complete:
    """`names` returns each name with a short description."""

    def complete(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            with open_database() as (settings, database):
                found = [(name, about) for name, about in names(settings, database) if name.startswith(begun)]
        except (SettingsError, Refusal, OSError):
            return []
        return [CompletionItem(name, help=about) for name, about in found[:_MOST_ITEMS]]

    return complete


users = _completing(lambda _, database: [(user.username, user.plan) for user in SqlUsers(database).all()])
plans = _completing(lambda settings, _: [(name, plan.rate) for name, plan in settings.config.plans.items()])
profiles = _completing(
    lambda settings, _: [(name, profile.description) for name, profile in settings.config.profiles.items()]
)
keys = _completing(lambda _, database: [(key.name, key.plan) for key in SqlServiceKeys(database).page()])
sessions = _completing(
    lambda _, database: [
        (row.id, f"{row.name}, {row.profile}")
        for row in SqlSessions(database).page(limit=_MOST_SESSIONS)
        if row.state is SessionState.OPEN
    ]
)
