"""Signs a user in with a password: creates a sign-in and an access token.

The answers for an unknown user and for a wrong password are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from broker.errors import Refusal
from broker.identity import passwords
from broker.identity.bearer import Verified
from broker.identity.blocks import Admission
from broker.identity.sign_ins import CookieSignIns, SignIn
from broker.identity.signing import LIFETIME_SECONDS, SigningKey, issue_access_token
from broker.identity.users import Directory, User, canonical_username
from broker.principal import Principal


@dataclass(frozen=True)
class SignedIn:
    principal: Principal
    access_token: str = field(repr=False)
    sign_in: SignIn


class Login:
    """Works in two steps, so that the caller can refuse a correct password between them."""

    def __init__(
        self, users: Directory, admission: Admission, sign_ins: CookieSignIns, key: SigningKey
    ) -> None:
        self._users = users
        self._admission = admission
        self._sign_ins = sign_ins
        self._key = key

    def find(self, username: str) -> User | None:
        name = canonical_username(username)
        return self._users.find(name) if name else None

    def check(self, user: User | None, password: str, account: str | None = None) -> User:
        """Refuses `bad-login` and `busy`. It does the same work for an unknown user.

        `account` identifies the typed name: the checks of one account wait for each other.
        """
        if not passwords.verify(password, user.password_hash if user else None, account) or user is None:
            raise Refusal("bad-login")
        return user

    def sign_in(
        self, user: User, password: str, account: str | None = None, replaced_cookie: str | None = None
    ) -> SignedIn:
        """Call after `check`. Ends the sign-in of `replaced_cookie`, so that a browser has only one.

        The new credentials have the generation that the user had when the password was checked. So if the
        password changes in the meantime, they are invalid. Raises `busy` if it has changed already.
        """
        verified = Verified(user.principal(), datetime.now(UTC), generation=user.generation)
        try:
            principal = self._admission.admit(verified)
        except Refusal as refusal:
            if refusal.code != "invalid-token":
                raise
            # The caller sent no token, so `invalid-token` would mislead. The password may still be right.
            raise Refusal(
                "busy", "The account was changed at the same moment. Sign in again.", reason=refusal.reason
            ) from None
        if passwords.needs_rehash(user.password_hash):
            self._rehash(user, password, account)
        token = issue_access_token(self._key, user.username, user.generation)
        sign_in = self._sign_ins.open(principal, generation=user.generation)
        if replaced_cookie is not None:
            self._sign_ins.close(replaced_cookie)
        return SignedIn(principal, token, sign_in)

    def _rehash(self, user: User, password: str, account: str | None) -> None:
        try:
            password_hash = passwords.hash_password(password, account)
        except Refusal:  # busy: the password is right, and a later sign-in can do it
            return
        self._users.rehash(user.username, user.password_hash, password_hash)

    def sign_out(self, cookie: str) -> None:
        self._sign_ins.close(cookie)

    def revoke(self, bearer: Verified) -> None:
        self._admission.revoke(bearer, timedelta(seconds=LIFETIME_SECONDS))
