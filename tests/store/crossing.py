"""Crossing: runs two transactions of the store at once, in an order that a schedule forces.

Each of the two runs in its own thread and stops before every statement and every commit. The schedule says
which one goes on. If that one waits for a lock of the other, the other goes on.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event

from broker.errors import Refusal
from broker.store.database.engine import Database

# A statement without a lock to wait for takes a fraction of this.
_BLOCKED_SECONDS = 0.01
_STUCK_SECONDS = 20
_here = threading.local()


@dataclass
class _Actor:
    """One of the two. `waits`: it has stopped before a statement; `goes`: it may run it."""

    act: Callable[[], Any]
    waits: bool = False
    goes: bool = False
    over: bool = False
    outcome: Any = None
    statements: list[str] = field(default_factory=list)


# The statements that lock a row that others may want, in the order of `store.ledger.locks`.
_LOCKS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"FROM idempotency\b.*FOR UPDATE|(UPDATE|DELETE FROM|INSERT INTO) idempotency\b",
        r"FROM rate_windows\b.*FOR UPDATE|(UPDATE|DELETE FROM|INSERT INTO) rate_windows\b",
        r"FROM principals\b.*FOR UPDATE",
        r"FROM places\b.*FOR UPDATE|(UPDATE|INSERT INTO) places\b",
        r"FROM sessions\b.*FOR UPDATE|UPDATE sessions\b",
        r"FROM tokens\b.*FOR UPDATE|UPDATE tokens\b",
    )
)


def _check_order(statements: Sequence[str]) -> None:
    """Fails if a transaction takes its first lock of one kind after a lock of a later kind."""
    taken: list[int] = []
    for statement in statements:
        if statement == "COMMIT":
            taken = []
        for rank, pattern in enumerate(_LOCKS):
            if pattern.search(statement) and rank not in taken:
                assert not taken or rank > max(taken), f"out of order: {statement}"
                taken.append(rank)


class Crossings:
    """Use one for each database: it stops the statements of threads that it started, and no others."""

    def __init__(self, database: Database) -> None:
        self._changed = threading.Condition()
        event.listen(database.engine, "before_cursor_execute", lambda *args: self._stop(str(args[2])))
        event.listen(database.engine, "commit", lambda _connection: self._stop("COMMIT"))

    def run(self, acts: Sequence[Callable[[], Any]], schedule: Sequence[int]) -> list[Any]:
        """Returns what each of the two returned: its result, or the code of its Refusal.

        `schedule` names the one that goes on, statement by statement. After its end, the first one goes on.
        """
        actors = [_Actor(act) for act in acts]
        threads = [threading.Thread(target=self._play, args=(actor,), daemon=True) for actor in actors]
        for thread in threads:
            thread.start()
        choices = iter(schedule)
        with self._changed:
            self._wait(lambda: all(actor.waits or actor.over for actor in actors), _STUCK_SECONDS)
            while not all(actor.over for actor in actors):
                self._let_one_go_on(actors, next(choices, 0))
        for thread in threads:
            thread.join()
        for actor in actors:
            if isinstance(actor.outcome, BaseException):
                raise actor.outcome
            _check_order(actor.statements)
        return [actor.outcome for actor in actors]

    def _let_one_go_on(self, actors: Sequence[_Actor], choice: int) -> None:
        ready = [actor for actor in (actors[choice], actors[1 - choice]) if actor.waits]
        if ready:
            ready[0].waits, ready[0].goes = False, True
            self._changed.notify_all()
            self._wait(lambda: ready[0].waits or ready[0].over, _BLOCKED_SECONDS)
            return
        over = [actor.over for actor in actors]
        if not self._wait(
            lambda: any(actor.waits for actor in actors) or over != [actor.over for actor in actors],
            _STUCK_SECONDS,
        ):
            raise AssertionError("both wait for ever")

    def _play(self, actor: _Actor) -> None:
        _here.actor = actor
        try:
            actor.outcome = actor.act()
        except Refusal as refusal:
            actor.outcome = refusal.code
        except BaseException as fault:  # noqa: BLE001 - raised in the test's own thread
            actor.outcome = fault
        finally:
            with self._changed:
                actor.over = True
                self._changed.notify_all()

    def _stop(self, statement: str) -> None:
        actor: _Actor | None = getattr(_here, "actor", None)
        if actor is None:
            return
        with self._changed:
            actor.statements.append(statement)
            actor.waits = True
            self._changed.notify_all()
            self._wait(lambda: actor.goes, _STUCK_SECONDS)
            actor.goes = False

    def _wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        return self._changed.wait_for(ready, seconds)
