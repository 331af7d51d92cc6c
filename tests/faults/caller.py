"""Caller: one user of a broker on gunicorn, who asks for tokens during a fault."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx2
from sqlalchemy import func, select

from broker.limits.quota import Quota, Quotas
from broker.store.database.tables import tokens
from broker.store.ledger.ledger import SqlLedger
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
    """Adds the user, so the store must work when it is made. `granted` counts the delivered tokens."""

    def __init__(self, broker: BrokerServer, name: str) -> None:
        self.broker = broker
        self.granted = 0
        self._key = own_principal(name).key
        broker.add_user(name)
        self._headers = {"Authorization": f"Bearer {broker.bearer(name)}"}
        self.patience = SLOWER * min(self.mint().seconds for _ in range(3))
        """What a slow machine may add to a time that the broker promises."""

    def mint(self) -> Seen:
        """On a new connection."""
        started = time.monotonic()
        answer = httpx2.post(f"{self.broker.url}/token", headers=self._headers, trust_env=False, timeout=60)
        code = str(answer.json().get("code", "ok"))
        self.granted += code == "ok"
        retry_after = answer.headers.get("Retry-After")
        return Seen(
            answer.status_code,
            code,
            None if retry_after is None else int(retry_after),
            time.monotonic() - started,
        )

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

    def check_healed(self) -> None:
        """Tokens again and ready within the promised time, and nothing but delivered tokens was charged."""
        ended = time.monotonic()
        self.mint_until("ok")
        while self.ready() != 200:
            assert time.monotonic() < ended + HEAL_SECONDS + self.patience
            time.sleep(0.1)
        self.check_charged()

    def check_charged(self, *, in_doubt: int = 0) -> None:
        """`in_doubt`: reservations whose end could not be written; they cost a place until they expire."""
        with self.broker.database.read() as connection:
            of = select(tokens.c.state, func.count()).where(tokens.c.principal_key == self._key)
            states = {row[0]: row[1] for row in connection.execute(of.group_by(tokens.c.state))}
        assert states.get("issued", 0) == self.granted
        assert states.get("reserved", 0) == in_doubt
        (usage,), _ = SqlLedger(self.broker.database).usages(Quotas((Quota(self._key, 1000, 10000),), 1000))
        assert usage.open == self.granted + in_doubt
