"""What the shell offers at the Tab key: names of users, plans, profiles, keys and sessions that there are.

Needs settings and a database, as the commands do. Without them, or with any fault, it offers nothing: a
completion must never print an error into the line that somebody is typing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from broker.cli.output import actor, open_database
from broker.errors import Refusal
from broker.operators.keys import KeyOps
from broker.operators.limits import LimitOps
from broker.operators.users import Ops
from broker.settings import Settings, SettingsError
from broker.store.database.engine import Database

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_MOST = 200


def _completing(names: Callable[[Settings, Database], Iterable[tuple[str, str]]]) -> Complete:
    """`names` gives each name with what helps to tell it from the others."""

    def complete(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            with open_database() as (settings, database):
                found = [(name, about) for name, about in names(settings, database) if name.startswith(begun)]
        except (SettingsError, Refusal, OSError):
            return []
        return [CompletionItem(name, help=about) for name, about in found[:_MOST]]

    return complete


users = _completing(
    lambda settings, database: [
        (user.username, user.plan) for user in Ops(settings, database, actor=actor()).users()
    ]
)
plans = _completing(lambda settings, _: [(name, plan.rate) for name, plan in settings.config.plans.items()])
profiles = _completing(
    lambda settings, _: [(name, profile.description) for name, profile in settings.config.profiles.items()]
)
keys = _completing(
    lambda settings, database: [
        (key.name, key.plan) for key in KeyOps(settings, database, actor=actor()).all()
    ]
)
sessions = _completing(
    lambda settings, database: [
        (row.id, f"{row.name}, {row.profile}")
        for row in LimitOps(settings, database, actor=actor()).sessions()
    ]
)
