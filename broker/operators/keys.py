"""KeyAdmin: creates and revokes service keys."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from broker.identity import service_keys
from broker.identity.scopes import SCOPES, USUAL_SCOPES
from broker.identity.service_keys import ANYBODY, PEPPER_LABEL, ServiceKey
from broker.identity.signing import derive
from broker.operators.errors import NotFound, OperatorError
from broker.operators.teams import checked_name
from broker.settings import Settings
from broker.store.accounts.service_keys import KeyExists, SqlServiceKeys
from broker.store.database.engine import Database

MOST_DAYS = 3650


@dataclass(frozen=True)
class CreatedKey:
    key: ServiceKey
    secret: str = field(repr=False)
    """The key itself. It is not stored, so it can be shown only once."""


class KeyAdmin:
    def __init__(self, settings: Settings, database: Database, *, actor: str) -> None:
        self._config = settings.config
        self._pepper = derive(settings.secret_key.get_secret_value(), PEPPER_LABEL)
        self._store = SqlServiceKeys(database)
        self._actor = actor

    def create(
        self,
        name: str,
        *,
        plan: str = "default",
        scopes: Collection[str] = (),
        profiles: Collection[str] = (),
        expires_days: int | None = None,
        on_behalf_of: str | None = None,
        team: str | None = None,
        user_plan: str = "default",
        plans: Collection[str] = (),
    ) -> CreatedKey:
        """Create a key. Empty `scopes` mean the usual ones, and empty `profiles` mean all of the plan's.

        `on_behalf_of` is None, `any` or `PREFIX*`. Its users belong to its `team` too, and have `user_plan`,
        or one of `plans` if the request names it.
        """
        if not service_keys.is_name(name):
            raise OperatorError(f"{name!r} is not a valid key name: {service_keys.NAME_RULE}", field="name")
        self._known("plan", [plan], self._config.plans)
        self._known("user_plan", [user_plan], self._config.plans)
        self._known("plans", plans, self._config.plans)
        if on_behalf_of is None and (user_plan != "default" or plans):
            raise OperatorError("only a key that may act for users has plans for them", field="on_behalf_of")
        self._known("scopes", scopes, SCOPES)
        self._known("profiles", profiles, self._config.profiles)
        if closed := [one for one in profiles if not self._config.profiles[one].allows(plan)]:
            raise OperatorError(
                f"the plan {plan!r} does not include the profile {closed[0]!r}", field="profiles"
            )
        if expires_days is not None and not 1 <= expires_days <= MOST_DAYS:
            raise OperatorError(f"a key must expire after 1 to {MOST_DAYS} days", field="expires_days")
        key_id, secret, secret_hmac = service_keys.generate(self._pepper)
        key = ServiceKey(
            id=key_id,
            name=name,
            secret_hmac=secret_hmac,
            plan=plan,
            scopes=frozenset(scopes or USUAL_SCOPES),
            profiles=frozenset(profiles) if profiles else None,
            on_behalf_of_prefix=_prefix(on_behalf_of),
            team=None if team is None else checked_name(team, field="team"),
            user_plan=user_plan,
            plans=frozenset(plans),
        )
        lifetime = None if expires_days is None else timedelta(days=expires_days)
        try:
            return CreatedKey(self._store.add(key, lifetime, actor=self._actor), secret)
        except KeyExists:
            message = f"{name!r} is already the name or the id of a key; a revoked key keeps both"
            raise OperatorError(message, field="name") from None

    def revoke(self, name_or_id: str) -> ServiceKey:
        """Revoke a key from the next request on, on every worker. Its open sessions run to their end."""
        key = self._store.revoke(name_or_id, actor=self._actor)
        if key is None:
            raise NotFound(f"there is no service key {name_or_id!r}")
        return key

    @staticmethod
    def _known(field: str, given: Collection[str], known: Collection[str]) -> None:
        if unknown := [one for one in given if one not in known]:
            noun, choices = field.removesuffix("s").removeprefix("user_"), ", ".join(sorted(known))
            raise OperatorError(f"there is no {noun} {unknown[0]!r}; choose one of: {choices}", field=field)


def _prefix(on_behalf_of: str | None) -> str | None:
    if on_behalf_of is None:
        return None
    if on_behalf_of == ANYBODY:
        return ""
    prefix = on_behalf_of.removesuffix("*")
    if prefix == on_behalf_of or not prefix or "*" in prefix:
        raise OperatorError(
            f"{on_behalf_of!r} is neither {ANYBODY!r} nor a prefix that ends in *, such as 'acme:*'",
            field="on_behalf_of",
        )
    if len(prefix) > 200 or not prefix.isprintable() or not unicodedata.is_normalized("NFC", prefix):
        message = "a prefix must have 1 to 200 printable characters in Unicode normalization form NFC"
        raise OperatorError(message, field="on_behalf_of")
    return prefix
