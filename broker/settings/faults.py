"""SettingsError: everything that is wrong with the settings, in one exception."""

from __future__ import annotations

from collections.abc import Iterable


class SettingsError(Exception):
    """Raised once, at start, with every fault; each names its variable or its place in `broker.toml`.

    It is an ordinary exception on purpose: `SystemExit` inside a gunicorn worker makes the master start
    another worker, for ever.
    """

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults: list[str] = list(faults)
        super().__init__("the settings have faults:\n" + "\n".join(f"  - {fault}" for fault in self.faults))
