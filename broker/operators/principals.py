"""Principals: checks the issuer and the subject that an operator names.

A block or a limit for a name that cannot exist is a typing error that would look like protection.
"""

from __future__ import annotations

from dataclasses import replace

from broker.errors import Refusal
from broker.identity.service_keys import ServiceKey, check_subject
from broker.operators.errors import NotFound, OperatorError
from broker.principal import (
    GUEST_ISSUER,
    KEY_ISSUER,
    OWN_ISSUER,
    TEAM_ISSUER,
    Principal,
    end_user,
    is_readable,
)
from broker.settings import Settings
from broker.store.accounts.blocks import SqlBlocks
from broker.store.accounts.service_keys import SqlServiceKeys
from broker.store.accounts.users import SqlUsers
from broker.store.database.engine import Database
from broker.store.reporting.people import SqlPeople


class Principals:
    def __init__(self, settings: Settings, database: Database) -> None:
        self._configured = [spec.issuer for spec in settings.config.issuers]
        self._blocks = SqlBlocks(database)
        self._users = SqlUsers(database)
        self._service_keys = SqlServiceKeys(database)
        self._people = SqlPeople(database)

    def find(self, subject: str, issuer: str = OWN_ISSUER) -> Principal:
        """The principal that an operator names; a service key by its name or its id.

        The plan of another issuer's principal is in its credentials, so `default` stands in for it here. A
        service key's user has the plan of its latest session.
        """
        if issuer == KEY_ISSUER:
            return self._key(subject).principal()
        if issuer.startswith(f"{KEY_ISSUER}:"):
            return self._user_of_key(issuer.removeprefix(f"{KEY_ISSUER}:"), readable(subject))
        if issuer != OWN_ISSUER:
            return Principal(self.issuer(issuer), readable(subject), subject, "default")
        user = self._users.find(subject)
        if user is None:
            raise no_user(subject)
        return user.principal()

    def named(self, issuer: str, subject: str) -> tuple[str, str]:
        """Issuer and subject of another issuer's principal. Replaces a service key's name by its id."""
        if issuer == KEY_ISSUER:
            return issuer, self._key(subject).id
        if issuer.startswith(f"{KEY_ISSUER}:"):
            try:
                check_subject(subject)
            except Refusal as refusal:
                raise OperatorError(str(refusal.detail)) from None
        return self.issuer(issuer), readable(subject)

    def issuer(self, issuer: str) -> str:
        """`issuer`, once it is known to exist now or to have existed."""
        known = [OWN_ISSUER, KEY_ISSUER, GUEST_ISSUER, *self._configured]
        if issuer.startswith(f"{KEY_ISSUER}:"):
            self._key(issuer.removeprefix(f"{KEY_ISSUER}:"))
        # An issuer that is no longer in the settings may have signed people in earlier.
        elif issuer not in known and (issuer == TEAM_ISSUER or not self._blocks.has_seen(issuer)):
            raise OperatorError(f"there is no issuer {issuer!r}; choose one of: {', '.join(known)}")
        return issuer

    def _user_of_key(self, name_or_id: str, subject: str) -> Principal:
        key = self._key(name_or_id)
        user = end_user(key.principal(), subject, key.user_plan)
        person = self._people.find(user.key)
        return user if person is None else replace(user, plan=person.plan or "default")

    def _key(self, name_or_id: str) -> ServiceKey:
        key = self._service_keys.named(name_or_id)
        if key is None:
            raise NotFound(f"there is no service key {name_or_id!r}")
        return key


def may_be_without_operators(settings: Settings, actor: str) -> bool:
    """Whether `actor` may take the role from the last own user that has it: others come from an issuer."""
    from_issuers = any(spec.operator_claim for spec in settings.config.issuers)
    return from_issuers and not actor.startswith(f"{OWN_ISSUER}:")


def is_service_key_issuer(issuer: str) -> bool:
    """Whether the principals of `issuer` are service keys or users of one."""
    return issuer == KEY_ISSUER or issuer.startswith(f"{KEY_ISSUER}:")


def readable(text: str, name: str = "a subject or token id", *, field: str | None = None) -> str:
    if not 1 <= len(text) <= 255 or not is_readable(text):
        raise OperatorError(f"{name} must have 1 to 255 characters, and no control characters", field=field)
    return text


def no_user(username: str) -> NotFound:
    return NotFound(f"there is no user {username!r}")
