"""What operators do to service keys: the command line calls it, and so does the admin API."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from broker.identity import service_keys
from broker.identity.service_keys import ANYBODY, PEPPER_LABEL, SCOPES, USUAL_SCOPES, ServiceKey
from broker.identity.signing import derive
from broker.operators.users import OpsError, Unknown
from broker.settings import Settings
from broker.store.accounts.service_keys import KeyExists, SqlServiceKeys
from broker.store.database.engine import Database


@dataclass(frozen=True)
class CreatedKey:
    key: ServiceKey
    secret: str = field(repr=False)
    """The key itself. Nobody can show it again."""


class KeyOps:
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
    ) -> CreatedKey:
        """A new key, of the usual scopes unless some are named; `on_behalf_of`: None, `any`, or `PREFIX*`."""
        if not service_keys.is_name(name):
            raise OpsError(f"{name!r} is no name of a key: {service_keys.NAME_RULE}", field="name")
        self._known("plan", [plan], self._config.plans)
        self._known("scopes", scopes, SCOPES)
        self._known("profiles", profiles, self._config.profiles)
        if closed := [one for one in profiles if not self._config.profiles[one].allows(plan)]:
            raise OpsError(f"the plan {plan!r} does not include the profile {closed[0]!r}", field="profiles")
        if expires_days is not None and not 1 <= expires_days <= 3650:
            raise OpsError("a key expires after 1 to 3650 days", field="expires_days")
        key_id, secret, secret_hmac = service_keys.generate(self._pepper)
        key = ServiceKey(
            id=key_id,
            name=name,
            secret_hmac=secret_hmac,
            plan=plan,
            scopes=frozenset(scopes or USUAL_SCOPES),
            profiles=frozenset(profiles) if profiles else None,
            on_behalf_of_prefix=_prefix(on_behalf_of),
        )
        lifetime = None if expires_days is None else timedelta(days=expires_days)
        try:
            return CreatedKey(self._store.add(key, lifetime, actor=self._actor), secret)
        except KeyExists:
            message = f"the key {name!r} exists already; revoked keys keep their names"
            raise OpsError(message, field="name") from None

    def all(self) -> list[ServiceKey]:
        return self._store.page()

    def page(self, after: str | None, most: int) -> list[ServiceKey]:
        return self._store.page(after=after, most=most)

    def revoke(self, name_or_id: str) -> ServiceKey:
        """It holds for the next request, on every worker. Sessions that it opened run to their end."""
        key = self._store.revoke(name_or_id, actor=self._actor)
        if key is None:
            raise Unknown(f"there is no key {name_or_id!r}")
        return key

    @staticmethod
    def _known(field: str, given: Collection[str], known: Collection[str]) -> None:
        if unknown := [one for one in given if one not in known]:
            there_are = ", ".join(sorted(known))
            what = field.removesuffix("s")
            raise OpsError(f"there is no {what} {unknown[0]!r}; there are: {there_are}", field=field)


def _prefix(on_behalf_of: str | None) -> str | None:
    if on_behalf_of is None:
        return None
    if on_behalf_of == ANYBODY:
        return ""
    prefix = on_behalf_of.removesuffix("*")
    if prefix == on_behalf_of or not prefix or "*" in prefix:
        raise OpsError(
            f"{on_behalf_of!r} is neither {ANYBODY!r} nor a prefix that ends in *, such as 'acme:*'",
            field="on_behalf_of",
        )
    if len(prefix) > 200 or not prefix.isprintable() or not unicodedata.is_normalized("NFC", prefix):
        message = "a prefix has up to 200 printable characters in Unicode's form NFC"
        raise OpsError(message, field="on_behalf_of")
    return prefix
