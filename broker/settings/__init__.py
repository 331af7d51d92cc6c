"""Settings: what an operator may set, read once at start, with every fault reported together.

Owns the environment (`os.environ` is read in `environment.py` and nowhere else), `broker.toml`, and the rules
on both. Needs nothing of the broker. Leaves the checks that need the Google SDK to `minting.locking`; they
are handed in through `load(checks=…)`, so that an operator still sees one list.
"""

from __future__ import annotations

from broker.settings.document import BrokerConfig, GuestSpec, IssuerSpec, Plan, ProfileSpec, Project
from broker.settings.environment import Settings, load
from broker.settings.faults import SettingsError
from broker.settings.table import SETTINGS, Setting

__all__ = [
    "SETTINGS",
    "BrokerConfig",
    "GuestSpec",
    "IssuerSpec",
    "Plan",
    "ProfileSpec",
    "Project",
    "Setting",
    "Settings",
    "SettingsError",
    "load",
]
