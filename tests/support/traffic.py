"""Traffic: rows as a day or a week of use leaves them, generated in seconds and the same each time.

    make_traffic(database)                               a day of 60 people, some of them talking now
    make_traffic(database, days=7, sessions=100_000)     a week of heavy use
    python -m tests.support.traffic sqlite:///var/dev/broker.sqlite3

Owns plausible use: quiet nights, busy afternoons, long and short sessions that renew their token, refusals of
several codes, an hour in which Google is slow. The rows look like those of the ledger and of sign-ins, so
readers of the store see nothing unusual. The database needs the schema and nothing else.
"""

from __future__ import annotations

import hashlib
import math
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Table, insert

from broker.identity import passwords
from broker.principal import GUEST_ISSUER, KEY_ISSUER, OWN_ISSUER, principal_key
from broker.sessions.session import SessionState, TokenState
from broker.store.database import migrate
from broker.store.database.engine import Database
from broker.store.database.tables import (
    audit,
    blocks,
    limits,
    metadata,
    principals,
    service_keys,
    session_reports,
)
from broker.store.database.tables import sessions as sessions_table
from broker.store.database.tables import tokens as tokens_table
from broker.store.database.tables import users as users_table
from broker.store.ledger.quota_usage import GRACE

PASSWORD = "correct horse battery"
PLANS = ("default", "default", "default", "team", "pro")
KEY_ID = "shop00000000"
SLICE = timedelta(seconds=900)
CONNECT_WITHIN = timedelta(seconds=120)
HEARTBEAT = timedelta(seconds=30)
_NAMES = (
    "Ada Bea Cem Dina Edgar Fatou Goran Hana Ivo Jun Kofi Lea Milo Nora Omar Pia Quang Rosa Sami Tara "
    "Uwe Vera Wim Xenia Yara Zoe"
).lower().split()  # fmt: skip
# Refusals by code, in a thousand requests for a token.
REFUSALS = {
    "rate-limited": 22,
    "too-many-sessions": 14,
    "minutes-exhausted": 9,
    "profile-forbidden": 3,
    "project-capacity": 4,
    "account-blocked": 2,
}
FAILURES = {"upstream-timeout": 4, "upstream-error": 3, "upstream-quota": 2}
CLIENTS = (
    {"app": "demo", "version": "0.1.0", "platform": "Chrome on Linux"},
    {"app": "demo", "version": "0.1.0", "platform": "Safari on iPhone"},
    {"app": "shop", "version": "3.2", "platform": "Android"},
)
PROFILES = (
    ("default", "models/gemini-3.8-live"),
    ("default", "models/gemini-2.5-flash-native-audio-preview-09-2025"),
)


@dataclass(frozen=True)
class Person:
    issuer: str
    subject: str
    plan: str = "default"

    @property
    def key(self) -> str:
        return principal_key(self.issuer, self.subject)

    @property
    def actor(self) -> str:
        """The actor as the audit names it: for a user of a service key, that key."""
        return self.issuer if self.acting_key else f"{self.issuer}:{self.subject}"

    @property
    def acting_key(self) -> str | None:
        return principal_key(KEY_ISSUER, KEY_ID) if self.issuer == f"{KEY_ISSUER}:{KEY_ID}" else None


@dataclass
class Traffic:
    """Every generated row by its table, and the people."""

    until: datetime
    people: Sequence[Person]
    rows: dict[Table, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


def make_traffic(
    database: Database,
    *,
    until: datetime | None = None,
    days: float = 1,
    sessions: int = 1500,
    users: int = 60,
    seed: int = 7,
) -> Traffic:
    """Writes the requests of the `days` before `until` (default: now) into `database`."""
    with database.read() as connection:
        until = until or database.now(connection)
    traffic = traffic_of(until, days=days, sessions=sessions, users=users, seed=seed)
    with database.write() as connection:
        for table in metadata.sorted_tables:
            rows = traffic.rows.get(table, [])
            for start in range(0, len(rows), 5000):
                connection.execute(insert(table), rows[start : start + 5000])
    return traffic


def traffic_of(until: datetime, *, days: float, sessions: int, users: int, seed: int) -> Traffic:
    """Generates the same rows without a database."""
    dice = random.Random(seed)
    until = until.replace(microsecond=0)
    traffic = Traffic(until, people_of(users))
    _add_people(traffic, until - timedelta(days=days + 30), dice)
    weights = [1 / (1 + rank) ** 0.7 for rank in range(users)]  # a few talk much, many a little
    for at in _moments(dice, until, days, sessions):
        person = dice.choices(traffic.people, weights)[0]
        _ask(traffic, dice, person, at)
        if dice.random() < 0.15:
            _sign_in(traffic, dice, person, at)
    traffic.rows[audit].sort(key=lambda row: row["at"])
    return traffic


def people_of(users: int) -> list[Person]:
    """Own users first, then people of an issuer, users of a service key and guests."""
    people = []
    for number in range(users):
        name = _NAMES[number % len(_NAMES)] + (
            str(number // len(_NAMES) + 1) if number >= len(_NAMES) else ""
        )
        kind = ("own", "own", "own", "issuer", "key", "guest")[number % 6]
        people.append(
            {
                "own": Person(OWN_ISSUER, name, PLANS[number % len(PLANS)]),
                "issuer": Person("https://accounts.example/voice", f"{name}@example.org"),
                "key": Person(f"{KEY_ISSUER}:{KEY_ID}", f"shop:{name}"),
                "guest": Person(GUEST_ISSUER, hashlib.sha256(name.encode()).hexdigest()[:16]),
            }[kind]
        )
    return people


def _add_people(traffic: Traffic, since: datetime, dice: random.Random) -> None:
    password_hash = passwords.hash_password(PASSWORD)
    shop = Person(KEY_ISSUER, KEY_ID)
    for person in (*traffic.people, shop):
        traffic.rows[principals].append(
            {"key": person.key, "issuer": person.issuer, "subject": person.subject}
        )
    own = [person for person in traffic.people if person.issuer == OWN_ISSUER]
    for number, person in enumerate(own):
        at = since + timedelta(hours=number)
        traffic.rows[users_table].append(
            {
                "username": person.subject,
                "password_hash": password_hash,
                "plan": person.plan,
                "roles": "",
                "generation": f"{dice.getrandbits(64):016x}",
                "password_changed_at": at,
                "created_at": at,
            }
        )
        _record(traffic, at, "cli:operator", "user.add", "ok", detail={"user": person.subject})
    for person, minutes in zip(own, (120, 5), strict=False):
        traffic.rows[limits].append(
            {**_who(person), "key": person.key, "minutes_per_day": minutes, "updated_at": since}
        )
    if len(own) > 3:
        block = {"kind": "principal", "value": own[3].key, "reason": "asked for it", "created_at": since}
        traffic.rows[blocks].append({**_who(own[3]), **block})
    traffic.rows[service_keys].append(
        {
            "id": KEY_ID,
            "name": "shop",
            "secret_hmac": "0" * 64,
            "plan": "default",
            "scopes": "sessions token",
            "on_behalf_of_prefix": "shop:",
            "created_at": since,
            "last_used_at": traffic.until,
        }
    )


def _who(person: Person) -> dict[str, str]:
    return {"issuer": person.issuer, "subject": person.subject}


def _moments(dice: random.Random, until: datetime, days: float, count: int) -> Iterator[datetime]:
    """When sessions begin: twice as likely by day as on average, hardly by night; in order."""
    moments: list[datetime] = []
    span = days * 86400
    while len(moments) < count:
        at = until - timedelta(seconds=dice.random() * span)
        hour = at.hour + at.minute / 60
        if dice.random() < 0.12 + 0.88 * max(0.0, math.sin((hour - 6) / 18 * math.pi)) ** 1.5:
            moments.append(at)
    # At any time of the day, someone is talking now.
    moments += [until - timedelta(seconds=dice.uniform(5, 600)) for _ in range(12)]
    return iter(sorted(moments))


def _ask(traffic: Traffic, dice: random.Random, person: Person, at: datetime) -> None:
    drawn = dice.randrange(1000)
    for code, quota in REFUSALS.items():
        if drawn < quota:
            # Who is refused tries again.
            for _ in range(dice.randint(1, 3)):
                _record(traffic, at, person.actor, "token", code)
            return
        drawn -= quota
    for code, quota in FAILURES.items():
        if drawn < quota:
            _failed(traffic, dice, person, at, code)
            return
        drawn -= quota
    _session(traffic, dice, person, at)


def _failed(traffic: Traffic, dice: random.Random, person: Person, at: datetime, code: str) -> None:
    session = _new_session(dice, person, at)
    session |= {"state": SessionState.VOID, "ended_at": at, "held_until": at, "ends_at": at + SLICE * 2}
    traffic.rows[sessions_table].append(session)
    token = _token(dice, session, at, at, at + SLICE)
    traffic.rows[tokens_table].append(
        {
            **token,
            "state": TokenState.VOID,
            "seconds": 0,
            "refusal": code,
            "token_sha256": None,
            "mint_ms": None,
        }
    )
    _record(traffic, at, person.actor, "token", "reserved", session["id"])
    _record(traffic, at, person.actor, "token", code, session["id"])


def _session(traffic: Traffic, dice: random.Random, person: Person, at: datetime) -> None:
    """Talks for a minute or two, or sometimes to the end. A session that is not over by now is open."""
    session = _new_session(dice, person, at)
    talks = timedelta(seconds=min(1800.0, max(8.0, dice.lognormvariate(4.7, 1.1))))
    over = min(at + talks, traffic.until)
    is_open = at + talks > traffic.until
    hangs_up = dice.random() < 0.85  # the others close the page without a word
    paid_until = start = at
    while True:
        expires_at = min(start + SLICE, session["ends_at"])
        token = _token(dice, session, start, max(start, paid_until), expires_at)
        traffic.rows[tokens_table].append(token)
        _record(traffic, start, person.actor, "token", "reserved", session["id"])
        _record(traffic, start, person.actor, "token", "ok", session["id"], sha256=token["token_sha256"])
        paid_until = expires_at
        renews = start + SLICE * 0.8
        if renews >= over or session["ends_at"] - renews < timedelta(seconds=10):
            break
        start = renews
    session["heartbeat_at"] = max(at, over - timedelta(seconds=dice.uniform(0, HEARTBEAT.seconds)))
    session["held_until"] = paid_until
    if not is_open and hangs_up:
        talked = math.ceil(max(0.0, (over - token["covers_from"]).total_seconds()))
        token["seconds"] = min(token["seconds"], talked)
        session |= {"state": SessionState.ENDED, "ended_at": over, "held_until": over, "released_at": over}
        _record(traffic, over, person.actor, "session.end", "ok", session["id"])
        _report(traffic, dice, session, over, over - at)
    traffic.rows[sessions_table].append(session)


def _new_session(dice: random.Random, person: Person, at: datetime) -> dict[str, Any]:
    profile, model = dice.choice(PROFILES)
    return {
        "id": f"ses_{dice.getrandbits(128):032x}",
        "principal_key": person.key,
        "acting_key": person.acting_key,
        "plan": person.plan,
        "profile": profile,
        "model": model,
        "client": dice.choice(CLIENTS),
        "state": SessionState.OPEN,
        "opened_at": at,
        "ends_at": at + SLICE * 2,
        "held_until": at + CONNECT_WITHIN + GRACE,
        "heartbeat_at": None,
        "ended_at": None,
        "released_at": None,
    }


def _token(
    dice: random.Random, session: dict[str, Any], at: datetime, covers_from: datetime, expires_at: datetime
) -> dict[str, Any]:
    slow = 6 if at.hour == 15 and dice.random() < 0.3 else 1
    return {
        "id": f"tok_{dice.getrandbits(128):032x}",
        "session_id": session["id"],
        "principal_key": session["principal_key"],
        "acting_key": session["acting_key"],
        "state": TokenState.ISSUED,
        "token_sha256": f"{dice.getrandbits(256):064x}",
        "reserved_at": at,
        "connect_by": min(at + CONNECT_WITHIN, expires_at),
        "expires_at": expires_at,
        "covers_from": covers_from,
        "seconds": math.ceil((expires_at - covers_from).total_seconds()),
        "refusal": None,
        "mint_ms": min(4999, round(dice.lognormvariate(5.0, 0.35) * slow)),
    }


def _report(
    traffic: Traffic, dice: random.Random, session: dict[str, Any], at: datetime, talked: timedelta
) -> None:
    seconds = int(talked.total_seconds())
    data = {
        "first_audio_ms": round(dice.lognormvariate(6.6, 0.35)),
        "speech_end_to_audio_ms": round(dice.lognormvariate(6.4, 0.3)),
        "token_ms": round(dice.lognormvariate(5.2, 0.3)),
        "socket_ms": round(dice.lognormvariate(4.6, 0.3)),
        "setup_ms": round(dice.lognormvariate(4.8, 0.3)),
        "underruns": dice.choices((0, 1, 4), (90, 8, 2))[0],
        "dropped_chunks": 0,
        "reconnects": dice.choices((0, 1), (97, 3))[0],
        "input_rate": 48000,
        "output_rate": 48000,
        "played_seconds": seconds // 2,
        "input_tokens": seconds * 32,
        "output_tokens": seconds * 16,
        "total_tokens": seconds * 48,
    }
    counted = {name: data[name] for name in ("input_tokens", "output_tokens")}
    impossible = {"problems": ["more-than-the-context"], "counts": {"input_tokens": 10**9}}
    traffic.rows[session_reports].append(
        {
            "session_id": session["id"],
            "reported_at": at,
            "data": data,
            "token_counts": counted if seconds % 3 else None,
            "set_aside": None if seconds % 50 else impossible,
        }
    )


def _sign_in(traffic: Traffic, dice: random.Random, person: Person, at: datetime) -> None:
    if person.issuer == OWN_ISSUER:
        if dice.random() < 0.2:
            _record(traffic, at, person.actor, "sign-in", "bad-login", detail={"address": "192.0.2.7"})
        _record(traffic, at, person.actor, "sign-in", "ok")


def _record(
    traffic: Traffic,
    at: datetime,
    actor: str,
    action: str,
    outcome: str,
    session_id: str | None = None,
    *,
    sha256: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    rows = traffic.rows[audit]
    rows.append(
        {
            "at": at,
            "actor": actor,
            "action": action,
            "outcome": outcome,
            "request_id": f"{len(rows):016x}",
            "session_id": session_id,
            "token_sha256": sha256,
            "detail": detail,
            "times": 1 if outcome in ("ok", "reserved") else 1 + len(rows) % 5,  # some stand for several
        }
    )


def main() -> None:
    database = Database(sys.argv[1], pool_size=2)
    migrate.upgrade(database)
    made = make_traffic(database, until=datetime.now(UTC))
    print({table.name: len(rows) for table, rows in made.rows.items()})
    database.dispose()


if __name__ == "__main__":
    main()
