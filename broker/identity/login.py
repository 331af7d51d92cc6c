"""Password -> a sign-in and an access token of ours. An unknown user and a wrong password look the same."""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.errors import Refusal
from broker.identity import passwords
from broker.identity.principal import Principal
from broker.identity.sign_ins import CookieSignIns, SignIn
from broker.identity.signing import SigningKey, issue_access_token
from broker.identity.users import Directory, canonical_username


@dataclass(frozen=True)
class SignedIn:
    principal: Principal
    access_token: str = field(repr=False)
    sign_in: SignIn


class Login:
    def __init__(self, users: Directory, sign_ins: CookieSignIns, key: SigningKey) -> None:
        self._users = users
        self._sign_ins = sign_ins
        self._key = key

    def sign_in(self, username: str, password: str) -> SignedIn:
        name = canonical_username(username)
        user = self._users.find(name) if name else None
        if not passwords.verify(password, user.password_hash if user else None) or user is None:
            raise Refusal("bad-login")
        if user.blocked_at is not None:
            raise Refusal("account-blocked")
        if passwords.needs_rehash(user.password_hash):
            self._users.rehash(user.username, user.password_hash, passwords.hash_password(password))
        token = issue_access_token(self._key, user.username)
        principal = user.principal()
        return SignedIn(principal, token, self._sign_ins.open(principal))

    def sign_out(self, cookie: str) -> None:
        self._sign_ins.close(cookie)
