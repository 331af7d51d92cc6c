"""SettingsError: all faults of the settings in one exception."""

from __future__ import annotations

from collections.abc import Iterable


class SettingsError(Exception):
    """Raised once, at start. Each fault names its variable or its place in `broker.toml`.

    It is an ordinary exception on purpose: after `SystemExit` in a gunicorn worker, the master starts new
    workers forever.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults: list[str] = list(faults)
        super().__init__("invalid settings:\n" + "\n".join(f"  - {fault}" for fault in self.faults))
