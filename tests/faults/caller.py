"""Caller: one user of a broker on gunicorn, who asks for tokens during a fault."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx2
from sqlalchemy import func, select

from broker.store.database.tables import sessions, tokens
from tests.support.servers import BrokerServer, own_principal

# The longest time from the end of a fault until tokens are minted again.
HEAL_SECONDS = 10
# The longest time that an answer takes, whatever hangs.
DEADLINE_SECONDS = 10
# How much slower than undisturbed other machines' work may make a request.
SLOWER = 20


@dataclass(frozen=True)
class Seen:
    status: int
    code: str
    """`ok` for a token."""
    retry_after: int | None
    seconds: float

    @property
    def answer(self) -> tuple[int, str]:
        return self.status, self.code


class Caller:
    """Everything must work when it is made. `granted` counts the delivered tokens."""

    def __init__(self, broker: BrokerServer, name: str) -> None:
        self.broker = broker
        self.granted = 0
        self.name = name
        self._key = own_principal(name).key
        broker.add_user(name)
        self._bearer = broker.bearer(name)
        self.patience = SLOWER * min(self.mint().seconds for _ in range(3))
        """What a slow machine may add to a time that the broker promises."""

    def mint(self, bearer: str | None = None) -> Seen:
        """On a new connection."""
        started = time.monotonic()
        headers = {"Authorization": f"Bearer {bearer or self._bearer}"}
        answer = httpx2.post(f"{self.broker.url}/token", headers=headers, trust_env=False, timeout=60)
        code = str(answer.json().get("code", "ok"))
        self.granted += code == "ok"
        retry_after = answer.headers.get("Retry-After")
        return Seen(
            answer.status_code,
            code,
            None if retry_after is None else int(retry_after),
            time.monotonic() - started,
        )

    def check_ready(self, status: int) -> None:
        """Within a few seconds: the answer may be a second old, or that of a check that hangs."""
        deadline = time.monotonic() + HEAL_SECONDS + self.patience
        while self.ready() != status:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def ready(self) -> int:
        return self._get("/readyz")

    def alive(self) -> int:
        return self._get("/healthz")

    def _get(self, path: str) -> int:
        return httpx2.get(f"{self.broker.url}{path}", trust_env=False, timeout=60).status_code

    def mint_until(self, code: str) -> Seen:
        """Asks until it gets this code: some faults begin with the next write and not at once."""
        deadline = time.monotonic() + HEAL_SECONDS + self.patience
        while (seen := self.mint()).code != code:
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
        return seen

    def check_healed(self, *, in_doubt: int = 0) -> None:
        """Tokens again and ready within the promised time, and nothing but delivered tokens was charged."""
        self.mint_until("ok")
        self.check_ready(200)
        self.check_charged(in_doubt=in_doubt)

    def check_charged(self, *, in_doubt: int = 0, ended: int = 0) -> None:
        """`in_doubt`: reservations whose end could not be written. They hold a place until they expire.

        `ended`: so many of the granted sessions were ended.
        """
        with self.broker.database.read() as connection:

            def count(table: Any) -> dict[str, int]:
                of = select(table.c.state, func.count()).where(table.c.principal_key == self._key)
                return {row[0]: row[1] for row in connection.execute(of.group_by(table.c.state))}

            of_tokens, of_sessions = count(tokens), count(sessions)
        assert of_tokens.get("issued", 0) == of_sessions.get("open", 0) + ended == self.granted
        assert of_tokens.get("reserved", 0) == of_sessions.get("reserved", 0) == in_doubt
