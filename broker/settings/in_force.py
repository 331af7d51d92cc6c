"""The settings in force: what the master of a server has checked, and every worker uses.

Without this, a worker that is replaced would read a file that someone is editing: half of the workers would
follow one document and half another one, or none would start.
"""

from __future__ import annotations

from broker.settings.environment import Settings

_kept: Settings | None = None


def keep(settings: Settings) -> None:
    """For this process and for those that it forks."""
    global _kept
    _kept = settings


def kept() -> Settings | None:
    return _kept
