"""Operators of a soak: they edit limits, block and unblock, make and revoke keys, and end sessions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from broker.principal import KEY_ISSUER
from tests.load.soak.journal import Answer, Journal
from tests.load.soak.people import GONE, Key, User
from tests.load.soak.site import PLANS, Site
from tests.load.soak.wire import FAULTS, Wire
from tests.support.servers import PASSWORD

OPERATOR = "olga"
# Sessions at once and requests a minute; None: as in the plan.
_EDITS = ((2, 8), (5, 30), (1, None))


class Operator:
    """One thread. `edited`: users whose limits it changes; `blockable`: those that it blocks."""

    def __init__(
        self,
        journal: Journal,
        wire: Wire,
        site: Site,
        *,
        edited: list[User],
        blockable: list[User],
        keys: list[Key],
    ) -> None:
        self.journal, self.wire, self.site = journal, wire, site
        self._edited, self._blockable, self._keys = edited, blockable, keys
        self._bearer = ""
        self._acts: dict[Callable[[], None], int] = {
            self._edit_limits: 8,
            self._block_for_a_while: 4,
            self._rotate_key: 2,
            self._end_a_session: 4,
            self._look: 6,
            self._command: 1,
        }

    def act(self) -> None:
        if not self._bearer and not self._sign_in():
            return
        if not self._keys:
            self._rotate_key()
        (act,) = random.choices(list(self._acts), list(self._acts.values()))
        act()

    def _sign_in(self) -> bool:
        body = {"username": OPERATOR, "password": PASSWORD}
        answer = self.wire.send("sign-in", "POST", "/auth/login", {}, body, expected=FAULTS | {"ok"})
        if answer.code == "ok":
            self._bearer = self.journal.secret(answer.body["access_token"])
        return answer.code == "ok"

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        also: frozenset[str] = frozenset(),
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self._bearer}"} if self._bearer else {}
        expected = FAULTS | GONE | {"ok", "missing-credentials"} | also
        answer = self.wire.send("operator", method, path, headers, body, expected=expected)
        if answer.code in GONE:
            self._bearer = ""
        return answer

    def _edit_limits(self) -> None:
        user, plan = random.choice(self._edited), PLANS["steady"]
        path = f"/admin/users/{user.principal}"
        shown = self._send("GET", path)
        if shown.code != "ok":
            return
        sessions, requests = random.choice(_EDITS)
        rate = None if requests is None else f"{requests}/minute"
        limits = replace(plan, sessions=sessions, rate=(requests or plan.rate[0], 60))
        change = {"version": shown.body["version"], "sessions": sessions, "rate": rate}
        began = time.time()
        answer = self._send("PATCH", f"{path}/limits", change)
        if answer.code not in GONE:
            self.journal.edited(user.principal, limits, began, sure=answer.code == "ok")

    def _block_for_a_while(self) -> None:
        """No request that begins after the block was answered gets a token until the unblocking begins."""
        user = random.choice(self._blockable)
        path = f"/admin/users/{user.principal}"
        if self._send("POST", f"{path}/block", {"reason": "soak"}).code == "ok":
            bearer = user.bearer
            headers = {"Authorization": f"Bearer {bearer}"}
            for _ in range(3 if bearer else 0):
                answer = self.wire.send(
                    "token of a blocked user", "POST", "/token", headers, {},
                    expected=FAULTS | GONE | {"minting-suspended"},
                )  # fmt: skip
                time.sleep(0.1)
                if answer.code == "ok":
                    self.journal.violation("a blocked user got a token")
        until = time.monotonic() + 60
        # `edit-conflict`: the block, or an earlier unblocking, was not what its lost answer seemed to say.
        done = {"ok", "edit-conflict"}
        also = frozenset(done)
        while self._send("POST", f"{path}/unblock", {}, also).code not in done and time.monotonic() < until:
            time.sleep(0.5)
            if not self._bearer:
                self._sign_in()

    def _rotate_key(self) -> None:
        """Makes a new service key, then revokes the oldest one."""
        name = f"soak-{time.time_ns()}"
        body = {"name": name, "plan": "backend", "on_behalf_of": "any"}
        made = self._send("POST", "/admin/keys", body)
        if made.code == "ok":
            key = Key(made.body["id"], self.journal.secret(made.body["key"]))
            self.journal.principal(KEY_ISSUER, key.id, PLANS["backend"])
            self._keys.append(key)
        if len(self._keys) > 2:
            oldest = self._keys[0]
            if self._send("POST", f"/admin/keys/{oldest.id}/revoke", {}).code == "ok":
                oldest.revoked_at = time.time()
                self._keys.remove(oldest)

    def _end_a_session(self) -> None:
        found = self._send("GET", "/admin/sessions?state=open&limit=20")
        rows = found.body["sessions"] if found.code == "ok" else ()
        # The list also has sessions whose first token is being minted, or that hold a place after their end.
        if opened := [row["id"] for row in rows if row["state"] == "open"]:
            session = random.choice(opened)
            self._send(
                "POST", f"/admin/sessions/{session}/end", {}, frozenset({"session-ended", "session-unknown"})
            )

    def _look(self) -> None:
        paths = ("overview", "usage?range=hour", "users", "audit?limit=50", "keys", "blocks", "suspension")
        self._send("GET", f"/admin/{random.choice(paths)}")

    def _command(self) -> None:
        """The commands, beside the running brokers. They may fail while a store is down."""
        user = random.choice(self._edited).name
        words = random.choice(
            (("explain", user), ("limits", "show", user), ("sessions", "list"), ("keys", "list"))
        )
        try:
            self.site.brokers[0].command(*words)
            self.journal.answers["command"]["ok"] += 1
        except AssertionError as refused:
            self.journal.answers["command"]["refused"] += 1
            if "Traceback" in str(refused):
                self.journal.violation(f"broker {' '.join(words)}: {str(refused)[-300:]}")
