"""Settings: everything that an operator can set, read once at start.

If a setting is invalid, the broker refuses to start and lists every problem. Owns the environment (only
`variables.py` reads `os.environ`), `broker.toml`, and the rules for both. `minting.compile` checks what
needs the Google SDK; the app passes that check to `load(checks=…)`, so that the operator sees one list.

The names below are loaded when they are first used: a command that needs only the database's URL
(`variables.database_url`) does not wait for the library that parses `broker.toml`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from broker.settings.document import BrokerConfig, GuestSpec, IssuerSpec, Plan, ProfileSpec, Project, Team
    from broker.settings.environment import Settings, load
    from broker.settings.faults import SettingsError
    from broker.settings.prices import Price, PriceList
    from broker.settings.table import SETTINGS, Setting

__all__ = [
    "SETTINGS",
    "BrokerConfig",
    "GuestSpec",
    "IssuerSpec",
    "Plan",
    "Price",
    "PriceList",
    "ProfileSpec",
    "Project",
    "Setting",
    "Settings",
    "SettingsError",
    "Team",
    "load",
]
_MODULES = ("faults", "table", "prices", "document", "environment")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in (import_module(f"{__name__}.{module}") for module in _MODULES):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
