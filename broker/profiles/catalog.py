"""Catalog: every profile by name, and which of them a plan may use."""

from __future__ import annotations

from collections.abc import Iterable

from broker.errors import Refusal
from broker.profiles.profile import Profile


class Catalog:
    """Fixed from start to end; a changed `broker.toml` takes a restart."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self._profiles = {profile.name: profile for profile in profiles}
        if not self._profiles:
            raise ValueError("a catalog needs a profile")
        self.default_name = "default" if "default" in self._profiles else next(iter(self._profiles))

    def get(self, name: str | None = None) -> Profile:
        """The named profile, or the default one."""
        profile = self._profiles.get(self.default_name if name is None else name)
        if profile is None:
            # The name is not repeated: it is the caller's text.
            raise Refusal("profile-unknown", hint="GET /profiles lists the ones that are open to you.")
        return profile

    def admit(self, name: str | None, plan: str) -> Profile:
        """The named profile if `plan` may use it; refuses `profile-unknown` or `profile-forbidden`."""
        profile = self.get(name)
        if not profile.allows(plan):
            raise Refusal("profile-forbidden", f"Your plan does not include {profile.name!r}.")
        return profile

    def for_plan(self, plan: str) -> list[Profile]:
        return [profile for profile in self._profiles.values() if profile.allows(plan)]
