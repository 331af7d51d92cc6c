"""Runs a soak: load and faults for a while, then the end of all work, then the audit."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from broker.limits.quota import Quota, Quotas
from broker.store.database.engine import Database
from broker.store.ledger.ledger import SqlLedger
from tests.load.soak import gauges, ledger_audit, limits_audit, secret_sweep
from tests.load.soak.faults import Faults
from tests.load.soak.gauges import Gauges
from tests.load.soak.journal import Journal
from tests.load.soak.operators import OPERATOR, Operator
from tests.load.soak.people import WRONG_PASSWORD, Client, Key, own_users
from tests.load.soak.rows import Rows, read_rows
from tests.load.soak.site import WORKERS, Site
from tests.load.soak.wire import Wire
from tests.support.counts import wrong_counts
from tests.support.servers import PASSWORD

CLIENTS = 7
_PAUSE_SECONDS = (0.02, 0.25)
# Old bearers stay valid for one rotation, and an idempotency record for a minute.
_SECONDS_BETWEEN_ROTATIONS = 180
_DRAINED = timedelta(hours=1)


@dataclass(frozen=True)
class Result:
    seconds: float
    journal: Journal
    gauges: Gauges
    rows: Rows
    violations: list[str]


def soak(folder: Path, seconds: float, *, say: Callable[[str], None] = lambda _: None) -> Result:
    journal, stop, stop_clients = Journal(), threading.Event(), threading.Event()
    with Site(folder) as site:
        for password in (PASSWORD, WRONG_PASSWORD):
            journal.needles.add_phrase(password)
        users = own_users(journal)
        for user, plan in users:
            site.brokers[0].add_user(user.name, plan=plan)
        site.brokers[0].add_user(OPERATOR, roles=["operator"])
        watch = Gauges(journal, site, stop, every_seconds=min(5.0, seconds / 20))
        faults = Faults(journal, site, stop)
        keys: list[Key] = []
        everyone = [user for user, _ in users]
        edited = [user for user in everyone if user.name.startswith("edited")]
        operator = Operator(
            journal, Wire(journal, site.urls, "198.51.100.200"), site,
            edited=edited, blockable=everyone[:2], keys=keys,
        )  # fmt: skip
        clients = [
            Client(journal, Wire(journal, site.urls, f"198.51.100.{number}"), everyone, keys)
            for number in range(CLIENTS)
        ]
        began = time.monotonic()
        breaking = _thread(journal, "faults", lambda: _break(faults, stop, seconds))
        others = [
            *(_thread(journal, "client", lambda one=one: _visit(one, stop_clients)) for one in clients),  # type: ignore[misc]
            _thread(journal, "operator", lambda: _operate(operator, stop_clients)),
        ]
        watching = _thread(journal, "gauges", watch.run)
        told = 0
        while (left := began + seconds - time.monotonic()) > 0:
            time.sleep(min(30, left))
            say(_progress(journal, time.monotonic() - began))
            for violation in journal.violations[told:]:
                say(f"  {violation}")
                told += 1
        stop.set()
        breaking.join()  # heals what it has broken: someone has to get a token for that
        stop_clients.set()
        for thread in (*others, watching):
            thread.join()
        took = time.monotonic() - began
        (folder / "events.txt").write_text("\n".join(journal.events))
        say("The load has ended. The audit begins.")
        return Result(took, journal, watch, *_audit(site, journal, watch))


def _thread(journal: Journal, name: str, work: Callable[[], None]) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - a soak whose load has stopped has shown nothing
            journal.violation(f"the soak's own {name} failed: {traceback.format_exc()}")

    thread = threading.Thread(target=guarded, name=name)
    thread.start()
    return thread


def _visit(client: Client, stop: threading.Event) -> None:
    with closing(client.wire):
        while not stop.wait(random.uniform(*_PAUSE_SECONDS)):
            client.act()


def _operate(operator: Operator, stop: threading.Event) -> None:
    with closing(operator.wire):
        while not stop.wait(random.uniform(0.3, 1.5)):
            operator.act()


def _break(faults: Faults, stop: threading.Event, seconds: float) -> None:
    """All faults in turn; now and then the secret is rotated."""
    rotate_at = time.monotonic() + min(_SECONDS_BETWEEN_ROTATIONS, seconds / 3)
    for name in faults.in_turn():
        if stop.wait(random.uniform(2, 5)):
            return
        if time.monotonic() > rotate_at:
            faults.rotate_secret()
            rotate_at = time.monotonic() + max(_SECONDS_BETWEEN_ROTATIONS, seconds / 4)
        else:
            faults.play(name)


def _audit(site: Site, journal: Journal, watch: Gauges) -> tuple[Rows, list[str]]:
    database = site.brokers[0].database
    _wait_for_workers(site, journal)
    site.stop_brokers()
    found = list(journal.violations)
    if site.exit_codes != [0] * len(site.brokers):
        found.append(f"the brokers ended with {site.exit_codes}")
    rows = read_rows(database)
    found += audit_rows(rows, journal)
    found += wrong_counts(database)
    found += _audit_drained(site, journal)
    for secret in site.secrets:
        journal.secret(secret)
    for pipe in site.logs:
        pipe.reading.set()
    time.sleep(1)  # the last lines
    found += secret_sweep.sweep_logs([pipe.kept for pipe in site.logs], journal.needles)
    found += secret_sweep.sweep_tables(database, journal.needles)
    with site.counters as counters:
        found += secret_sweep.sweep_redis(counters, journal.needles)
    found += gauges.audit_growth(watch.samples)
    found += gauges.audit_latency(journal)
    return rows, found


def audit_rows(rows: Rows, journal: Journal) -> list[str]:
    return [
        *ledger_audit.audit_deliveries(rows, journal),
        *ledger_audit.audit_intents(rows, journal),
        *ledger_audit.audit_renewals(rows, journal),
        *ledger_audit.audit_charges(rows, journal),
        *ledger_audit.audit_states(rows),
        *limits_audit.audit_places(rows, journal),
        *limits_audit.audit_rates(rows, journal),
        *limits_audit.audit_minutes(rows, journal),
        *limits_audit.audit_forgiven(rows, journal),
        *limits_audit.audit_suspensions(rows, journal),
    ]


def _wait_for_workers(site: Site, journal: Journal) -> None:
    until = time.monotonic() + 30
    while any(len(broker.workers()) != WORKERS for broker in site.brokers):
        if time.monotonic() > until:
            journal.violation(f"workers: {[len(broker.workers()) for broker in site.brokers]}, not {WORKERS}")
            return
        time.sleep(0.2)


def _audit_drained(site: Site, journal: Journal) -> list[str]:
    """By a clock that is ahead, every place is free again."""
    url = site.brokers[0].settings.database_url.get_secret_value()
    later = Database(url, pool_size=1, clock=lambda: datetime.now(UTC) + _DRAINED)
    try:
        quotas = Quotas((Quota("nobody", 1, 1),), 1)
        _, full = SqlLedger(later).usages(quotas)
        return ["an hour later a session still holds a place"] if full else []
    finally:
        later.dispose()


def _progress(journal: Journal, seconds: float) -> str:
    with journal.lock:
        requests = sum(sum(codes.values()) for codes in journal.answers.values())
        return (
            f"{seconds / 60:5.1f} min: {requests} requests, {len(journal.tokens)} tokens, "
            f"{sum(journal.faults.values())} faults, {len(journal.violations)} violations"
        )
