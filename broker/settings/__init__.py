"""Settings: everything that an operator can set, read once at start.

If a setting is invalid, the broker refuses to start and lists every problem. Owns the environment (only
`environment.py` reads `os.environ`), `broker.toml`, and the rules for both. `minting.compile` checks what
needs the Google SDK; the app passes that check to `load(checks=…)`, so that the operator sees one list.
"""

from __future__ import annotations

from broker.settings.document import BrokerConfig, GuestSpec, IssuerSpec, Plan, ProfileSpec, Project
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
    "load",
]
