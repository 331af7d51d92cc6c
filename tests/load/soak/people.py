"""People: the callers of a soak, each with its way to sign in, and what they do with a session."""

from __future__ import annotations

import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.principal import GUEST_ISSUER, KEY_ISSUER, OWN_ISSUER
from tests.load.soak.journal import Answer, Journal
from tests.load.soak.site import PLANS
from tests.load.soak.wire import FAULTS, MINT, Wire
from tests.support.servers import PASSWORD

Headers = dict[str, str]
WRONG_PASSWORD = "a wrong guess of a password"
# The caller's credential may have ended: by a rotation, a block, a sign-out or a revoked key.
GONE = {"invalid-token", "token-expired", "account-blocked"}
_OWN_SESSION = FAULTS | GONE | {"ok", "session-unknown", "session-ended"}
_RETRIED = FAULTS | {"upstream-error", "upstream-timeout", "upstream-quota", "upstream-rejected"}


@dataclass
class User:
    name: str
    principal: str
    bearer: str = ""
    blocked: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Key:
    """A service key. `revoked_at`: when its revocation was answered."""

    id: str
    secret: str
    revoked_at: float = float("inf")


class Client:
    """One thread of callers. Each call of `act` is one visit of one of them."""

    def __init__(self, journal: Journal, wire: Wire, users: list[User], keys: list[Key]) -> None:
        self.journal, self.wire, self.users, self.keys = journal, wire, users, keys
        self._visits: dict[Callable[[], None], int] = {
            self._own_user: 40,
            self._guest: 14,
            self._service_key: 14,
            self._page: 4,
            self._look: 6,
            self._refused: 8,
        }

    def act(self) -> None:
        (visit,) = random.choices(list(self._visits), list(self._visits.values()))
        visit()

    def _own_user(self) -> None:
        user = random.choice(self.users)
        if bearer := self._bearer(user):
            answer = self._open(user.principal, {"Authorization": f"Bearer {bearer}"}, {})
            if answer.code in GONE:
                user.bearer = ""

    def _bearer(self, user: User) -> str:
        with user.lock:
            if not user.bearer:
                answer = self._sign_in(user)
                if answer.code == "ok":
                    user.bearer = self.journal.secret(answer.body["access_token"])
            return user.bearer

    def _sign_in(self, user: User) -> Answer:
        body = {"username": user.name, "password": PASSWORD}
        expected = FAULTS | {"ok", "account-blocked", "login-throttled"}
        return self.wire.send("sign-in", "POST", "/auth/login", {}, body, expected=expected)

    def _guest(self) -> None:
        url = random.choice(self.wire.urls)
        page = {"Sec-Fetch-Site": "same-origin"}
        came = self.wire.send("guest", "GET", "/me", page, expected=FAULTS | {"ok"}, url=url)
        cookie = re.match("([^=]+=guest[^;]+)", came.headers.get("Set-Cookie", ""))
        if came.code != "ok" or cookie is None:
            return
        subject = cookie[1].split(".")[1]
        principal = self.journal.principal(GUEST_ISSUER, subject, PLANS["guests"])
        self._with_cookie(cookie[1], came.body["csrf_token"], url, principal)

    def _page(self) -> None:
        """Signs in on the page, talks, and signs out."""
        user, url = random.choice(self.users), random.choice(self.wire.urls)
        answer = self._sign_in(user)
        cookie = answer.headers.get("Set-Cookie", "").partition(";")[0]
        if answer.code != "ok" or not cookie:
            return
        self.journal.secret(answer.body["access_token"])
        page = self._with_cookie(cookie, answer.body["csrf_token"], url, user.principal)
        expected = FAULTS | GONE | {"ok"}
        self.wire.send("sign-out", "POST", "/auth/logout", page, {}, expected=expected, url=url)

    def _with_cookie(self, cookie: str, csrf: str, url: str, principal: str) -> Headers:
        self.journal.secret(cookie.partition("=")[2])
        self.journal.secret(csrf)
        headers = {"Cookie": cookie, "X-CSRF-Token": csrf, "Origin": url}
        self._open(principal, headers, {}, url)
        return headers

    def _service_key(self) -> None:
        if not self.keys:
            return
        key = random.choice(self.keys[-2:])
        subject = random.choice((f"u{secrets.token_hex(6)}", f"steady-{random.randrange(4)}"))
        principal = self.journal.principal(f"{KEY_ISSUER}:{key.id}", subject, PLANS["default"])
        answer = self._open(principal, {"X-API-Key": key.secret}, {"on_behalf_of": subject})
        if answer.code == "ok" and answer.began > key.revoked_at:
            self.journal.violation(f"a key got a token after its revocation was answered ({key.id})")

    def _look(self) -> None:
        user = random.choice(self.users)
        path = random.choice(("/me", "/profiles", "/healthz", "/openapi.json", "/"))
        if bearer := self._bearer(user):
            headers = {"Authorization": f"Bearer {bearer}"} if path in ("/me", "/profiles") else {}
            self.wire.send("look", "GET", path, headers, expected=FAULTS | GONE | {"ok", "upstream-error"})

    def _refused(self) -> None:
        """Requests that must be refused, whatever else happens."""
        user = random.choice(self.users)
        bearer = self._bearer(user)
        own = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        forged = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
        nobody = "ses_" + secrets.token_hex(16)
        wrong = {"username": f"x{secrets.token_hex(4)}", "password": WRONG_PASSWORD}
        name, headers, path, body, code = random.choice(
            (
                ("without credentials", {}, "/token", {}, "missing-credentials"),
                ("forged", forged, "/token", {}, "invalid-token"),
                ("unknown field", own, "/token", {"model": "x"}, "field-not-allowed"),
                ("unknown profile", own, "/token", {"profile": "none"}, "profile-unknown"),
                ("foreign session", own, f"/sessions/{nobody}/token", {}, "session-unknown"),
                ("wrong password", {}, "/auth/login", wrong, "bad-login"),
            )
        )
        expected = {*FAULTS, code}
        if headers is own:
            expected |= GONE | {"rate-limited", "minting-suspended", "missing-credentials"}
        if name == "wrong password":
            expected.add("login-throttled")
        self.wire.send(f"refused: {name}", "POST", path, headers, body, expected=expected)

    def _open(
        self, principal: str, headers: Mapping[str, str], body: Mapping[str, Any], url: str | None = None
    ) -> Answer:
        """Asks for a session, once or with an Idempotency-Key until an answer comes, and uses it."""
        name, keyed = secrets.token_hex(12), random.random() < 0.5
        body = {**body, "client": {"app": "soak", "version": name}}
        sent = {**headers, "Idempotency-Key": name} if keyed else dict(headers)

        def ask(*, abandon: bool = False) -> Answer:
            answer = self.wire.send(
                "token, with a key" if keyed else "token", "POST", "/token", sent, body,
                expected=MINT | GONE | {"session-ended"}, abandon=abandon, url=url,
            )  # fmt: skip
            self.journal.attempted(name, principal, answer, keyed=keyed)
            return answer

        began = time.time()
        answer = ask(abandon=random.random() < (0.3 if keyed else 0.05))
        while keyed and answer.code in _RETRIED and time.time() - began < 40:
            time.sleep(random.uniform(0.05, 1))
            answer = ask()
        if keyed and answer.code == "ok" and random.random() < 0.4:
            self._repeat(ask, answer, time.time() - began)
        if answer.code == "ok":
            self._talk(str(answer.body["session"]["id"]), principal, headers, url)
        return answer

    def _repeat(self, ask: Callable[[], Answer], first: Answer, seconds: float) -> None:
        """Within the minute that a record is kept, the same session is the answer."""
        again = ask()
        if again.code == "ok" and seconds < 45 and again.body["session"]["id"] != first.body["session"]["id"]:
            self.journal.violation("a repeat with the same Idempotency-Key opened another session")

    def _talk(self, session: str, principal: str, headers: Mapping[str, str], url: str | None) -> None:
        def tell(what: str, body: Mapping[str, Any], also: set[str], *, abandon: bool = False) -> Answer:
            return self.wire.send(
                f"session: {what}", "POST", f"/sessions/{session}/{what}", headers, body,
                expected=_OWN_SESSION | also, abandon=abandon, url=url,
            )  # fmt: skip

        if random.random() < 0.15:
            return  # vanished before it connected
        if random.random() < 0.7:
            tell("heartbeat", {}, set())
        if random.random() < 0.2:
            tell("report", {"first_audio_ms": 700, "underruns": 0}, {"rate-limited"})
        while random.random() < 0.35:
            answer = tell("token", {}, MINT, abandon=random.random() < 0.1)
            self.journal.renewed(session, principal, answer)
            time.sleep(random.uniform(0, 0.2))
        if random.random() < 0.2:
            return  # vanished in mid-conversation
        ended = tell("end", {}, set(), abandon=random.random() < 0.05)
        if ended.code == "ok" and random.random() < 0.2:
            late = tell("token", {}, MINT)
            self.journal.renewed(session, principal, late)
            if late.code == "ok":
                self.journal.violation("a session was renewed after its end was answered")


def own_users(journal: Journal) -> list[tuple[User, str]]:
    """The broker's own users of a soak, each with its plan."""
    plans = ["steady"] * 20 + ["fast"] * 3 + ["few-minutes"] * 2 + ["steady"] * 4
    names = [f"user{number}" for number in range(25)] + [f"edited{number}" for number in range(4)]
    return [
        (User(name, journal.principal(OWN_ISSUER, name, PLANS[plan])), plan)
        for name, plan in zip(names, plans, strict=True)
    ]
