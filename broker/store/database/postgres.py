"""What a connection to PostgreSQL is told, and how long anybody waits for its answer.

The server's own timeouts end what is slow; they do not help against a server or a network that has gone
silent, so each statement has a bound on this side too. What an operator writes into the URL wins over both.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection as PsycopgConnection
from psycopg import OperationalError
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from sqlalchemy import URL, Connection, text

# No transaction is held over a call to Google, so a process needs far fewer connections than threads; and
# the server's default is 100 for all processes of all hosts.
MOST_CONNECTIONS = 16
# In ms. The last is for a host that vanished in mid-transaction: its locks must not outlive it for hours.
_TIMEOUTS = {"statement_timeout": 4000, "lock_timeout": 3000, "idle_in_transaction_session_timeout": 10_000}
_SILENCE_SECONDS = 4.5
# Which of all locks of this kind is ours. Any number does, as long as it stays.
_MIGRATION_LOCK = 0x6C6976656272


class PatientNoLonger(PsycopgConnection[Any]):
    """A connection that is given up when a statement gets no answer for `silence_seconds`."""

    silence_seconds: float | None = _SILENCE_SECONDS

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.silence_seconds if timeout is None else timeout)
        except _WaitTimeout:
            # The answer may still come: nobody may take it for the one to the next statement.
            self.pgconn.finish()
            raise OperationalError("no answer from the server") from None


def connect_args(url: URL) -> dict[str, Any]:
    args: dict[str, Any] = {
        "connect_timeout": 3,
        "tcp_user_timeout": 5000,
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
    args = {name: value for name, value in args.items() if name not in url.query}
    options = " ".join(f"-c {name}={value}" for name, value in _TIMEOUTS.items())
    # The last one of a name counts.
    return {**args, "options": f"{options} {url.query.get('options', '')}".strip()}


def connect(_dialect: Any, _record: Any, cargs: Any, cparams: Any) -> PatientNoLonger:
    """For SQLAlchemy's event `do_connect`."""
    return PatientNoLonger.connect(*cargs, **cparams)


def take_time(connection: Connection) -> None:
    """For a migration: as long as it takes, and one at a time however many hosts start together.

    The connection goes on without bounds, so it must not go back to the pool.
    """
    driver = connection.connection.driver_connection
    if isinstance(driver, PatientNoLonger):
        driver.silence_seconds = None
    connection.execute(text("SELECT set_config('statement_timeout', '0', true)"))
    connection.execute(text("SELECT set_config('lock_timeout', '0', true)"))
    connection.execute(text("SELECT set_config('idle_in_transaction_session_timeout', '0', true)"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
