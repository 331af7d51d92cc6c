"""What operators do, in one place: the command line calls it, and so will the admin API."""

from __future__ import annotations

from collections.abc import Collection

from broker.identity import passwords
from broker.identity.signing import SigningKey, issue_access_token
from broker.identity.users import USERNAME_RULE, User, canonical_username
from broker.settings import Settings
from broker.store.engine import Database
from broker.store.users import SqlUsers, UserExists


class OpsError(Exception):
    """An operator's request that cannot be carried out; the message says why. Nothing was changed."""


class Ops:
    def __init__(self, settings: Settings, database: Database, *, actor: str) -> None:
        self._settings = settings
        self._users = SqlUsers(database)
        self._actor = actor

    def add_user(
        self, username: str, password: str, *, plan: str = "default", roles: Collection[str] = ()
    ) -> User:
        name = canonical_username(username)
        if name is None or name != username:
            raise OpsError(f"{username!r} is no user name: {USERNAME_RULE}")
        if not passwords.MIN_LENGTH <= len(password) <= passwords.MAX_LENGTH:
            raise OpsError(f"a password has {passwords.MIN_LENGTH} to {passwords.MAX_LENGTH} characters")
        if plan not in self._settings.config.plans:
            known = ", ".join(sorted(self._settings.config.plans))
            raise OpsError(f"there is no plan {plan!r}; there are: {known}")
        user = User(name, passwords.hash_password(password), plan, frozenset(roles))
        try:
            self._users.add(user, actor=self._actor)
        except UserExists:
            raise OpsError(f"the user {name!r} exists already") from None
        return user

    def users(self) -> list[User]:
        return self._users.all()

    def access_token(self, username: str) -> str:
        """A bearer for trying things out, as if the user had signed in."""
        user = self._users.find(username)
        if user is None:
            raise OpsError(f"there is no user {username!r}")
        key = SigningKey.from_secret(self._settings.secret_key.get_secret_value())
        return issue_access_token(key, user.username)
