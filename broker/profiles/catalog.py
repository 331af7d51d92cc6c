"""Catalog: all profiles by name, and who may use each of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from broker.errors import Refusal
from broker.principal import Principal
from broker.profiles.profile import Profile


class Catalog:
    """Fixed while the process runs; a change of `broker.toml` needs a restart."""

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self._profiles = {profile.name: profile for profile in profiles}
        if not self._profiles:
            raise ValueError("a catalog needs at least one profile")
        self.default_name = "default" if "default" in self._profiles else next(iter(self._profiles))

    def all(self) -> Collection[Profile]:
        return self._profiles.values()

    def find(self, name: str | None = None) -> Profile | None:
        """The named profile, or the default profile without a name. None if it does not exist."""
        return self._profiles.get(self.default_name if name is None else name)

    def get(self, name: str | None = None) -> Profile:
        profile = self.find(name)
        if profile is None:
            # The name is not repeated, because it is text from the caller.
            raise Refusal("profile-unknown", hint="GET /profiles lists the profiles that you may use.")
        return profile

    def admit(self, name: str | None, principal: Principal) -> Profile:
        """The named profile, if the principal may use it.

        Refuses `profile-unknown` or `profile-forbidden`.
        """
        profile = self.get(name)
        requester = principal.requester
        if not profile.allows(requester.plan):
            raise Refusal("profile-forbidden", f"Your plan does not include {profile.name!r}.")
        if requester.profiles is not None and profile.name not in requester.profiles:
            raise Refusal("profile-forbidden", f"You may not use the profile {profile.name!r}.")
        return profile

    def open_to(self, principal: Principal) -> list[Profile]:
        requester = principal.requester
        return [
            profile
            for name, profile in self._profiles.items()
            if profile.allows(requester.plan) and (requester.profiles is None or name in requester.profiles)
        ]
