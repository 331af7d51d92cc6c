"""Catalog: every profile by name, and who may use which."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from broker.errors import Refusal
from broker.principal import Principal
from broker.profiles.profile import Profile


class Catalog:
    """Fixed from start to end; a changed `broker.toml` takes a restart."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self._profiles = {profile.name: profile for profile in profiles}
        if not self._profiles:
            raise ValueError("a catalog needs a profile")
        self.default_name = "default" if "default" in self._profiles else next(iter(self._profiles))

    def all(self) -> Collection[Profile]:
        return self._profiles.values()

    def find(self, name: str | None = None) -> Profile | None:
        """The named profile, or the default one; None if there is none of this name."""
        return self._profiles.get(self.default_name if name is None else name)

    def get(self, name: str | None = None) -> Profile:
        profile = self.find(name)
        if profile is None:
            # The name is not repeated: it is the caller's text.
            raise Refusal("profile-unknown", hint="GET /profiles lists the ones that are open to you.")
        return profile

    def admit(self, name: str | None, principal: Principal) -> Profile:
        """The named profile if it is open to them; refuses `profile-unknown` or `profile-forbidden`."""
        profile = self.get(name)
        requester = principal.requester
        if not profile.allows(requester.plan):
            raise Refusal("profile-forbidden", f"Your plan does not include {profile.name!r}.")
        if requester.profiles is not None and profile.name not in requester.profiles:
            raise Refusal("profile-forbidden", f"{profile.name!r} is not among the profiles given to you.")
        return profile

    def open_to(self, principal: Principal) -> list[Profile]:
        requester = principal.requester
        return [
            profile
            for name, profile in self._profiles.items()
            if profile.allows(requester.plan) and (requester.profiles is None or name in requester.profiles)
        ]
