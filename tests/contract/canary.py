"""The canary: a client with a token that tries to get another session than its profile's.

The stand-in is the witness: it records the setup that was in force.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from broker.cli.proof.attacks import Attack
from broker.profiles.profile import Profile
from broker.standin import StandIn, protojson
from tests.conftest import MakeBroker
from tests.contract.setup_attacks import FIELDS
from tests.docs.markdown import section
from tests.standin.client import address, opened
from tests.support.sample_profiles import toml_of
from tests.support.servers import BrokerServer

SCALE = 20.0
AT_ONCE = 60  # the stand-in keeps the last hundred connections
SHIPPED = "broker/settings/broker.toml: default"
PLAN = """
[plans.default]
rate = "1000000/minute"
sessions = 1000000
minutes_per_day = 1440000
session_minutes = 60
"""


@dataclass
class Attempt:
    name: str
    token: dict[str, Any]
    ready: bool = False
    closed: tuple[int, str] | None = None


@dataclass
class Canary:
    broker: BrokerServer
    standin: StandIn
    http: httpx2.Client
    profiles: dict[str, tuple[str, Profile]]
    """Where it was found -> (its name in the broker, the profile)."""
    attempts: int = 0
    through: list[str] = field(default_factory=list)
    shown: set[tuple[str, str]] = field(default_factory=set)
    """(profile, field) for each field whose value came from the client."""

    def token(self, place: str = SHIPPED) -> dict[str, Any]:
        answer = self.http.post("/token", json={"profile": self.profiles[place][0]})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def url(self, credential: str, **options: Any) -> str:
        return address(self.standin, f"?access_token={credential}", **options)

    def connect(self, attempt: Attempt, attack: Attack, url: str | None = None, **options: Any) -> Attempt:
        """Sends the frames of the attack and waits for the answer to the last one."""
        with opened(url or self.url(attempt.token["token"]), **options) as talker:
            try:
                talker.send(attack.first)
                if attack.then is not None:
                    talker.send(attack.then)
                attempt.ready = talker.next() == {"setupComplete": {}}
                if attack.then is not None:
                    attempt.closed = talker.closing()
            except ConnectionClosed:
                attempt.closed = talker.closing()
        return attempt

    def sweep(self, place: str, attacks: Iterable[Attack]) -> None:
        """Each attack has a token of its own. What the stand-in recorded decides."""
        waiting = list(attacks)
        while some := waiting[:AT_ONCE]:
            del waiting[:AT_ONCE]
            with ThreadPoolExecutor(4) as executor:
                done = list(executor.map(lambda one: self._attack(place, one), some))
            self.judge(place, done)
            self.standin.control.reset()

    def _attack(self, place: str, attack: Attack) -> Attempt:
        return self.connect(Attempt(attack.name, self.token(place)), attack)

    def judge(self, place: str, done: Sequence[Attempt]) -> None:
        received = self.standin.control.received()
        minted = {mint.get("token_sha256"): mint["body"] for mint in received["mints"]}
        connections = {one["token_sha256"]: one for one in received["connections"]}
        for attempt in done:
            self.attempts += 1
            sha = hashlib.sha256(attempt.token["token"].encode()).hexdigest()
            if attempt.ready:
                self._compare(place, attempt, minted[sha], connections[sha])
            elif connections[sha]["ready_ms"] is not None:
                self.through.append(f"{place}: {attempt.name}: open, although refused")

    def _compare(self, place: str, attempt: Attempt, mint: dict[str, Any], seen: dict[str, Any]) -> None:
        """The setup in force is the token's in every locked field."""
        of_token = protojson.read("Setup", mint["bidiGenerateContentSetup"], "v1alpha")
        in_force, frame = seen["effective_setup"], seen["setup"]
        for name in FIELDS:
            if name in locked(self.profiles[place][1], of_token):
                if in_force.get(name) != of_token.get(name):
                    self.through.append(f"{place}: {attempt.name}: {name} is {in_force.get(name)}")
            elif name in frame and in_force.get(name) == frame[name]:
                self.shown.add((place, name))
        if unknown := in_force.keys() - set(FIELDS):
            self.through.append(f"{place}: {attempt.name}: {unknown}")

    def refused(self, name: str, did_get_through: bool) -> None:
        """Counts an attempt that must not open anything."""
        self.attempts += 1
        if did_get_through:
            self.through.append(name)

    def opens(self, url: str, **options: Any) -> bool:
        """Whether a socket at this address accepts the setup."""
        with suppress(ConnectionClosed, InvalidHandshake, OSError), opened(url, **options) as talker:
            talker.send({"setup": {"model": "models/gemini-3.8-live"}})
            return talker.next() == {"setupComplete": {}}
        return False


def left_open() -> set[str]:
    """The fields that docs/security.md leaves to the client."""
    first = section("docs/security.md", "## What a lock leaves open").strip().split("\n\n")[0]
    return set(re.findall(r"`(\w+)`", first[first.index("The client decides") :]))


def locked(profile: Profile, of_token: dict[str, Any]) -> set[str]:
    """The fields that the documents promise to lock."""
    if profile.lock == "total":
        return set(FIELDS)
    return set(FIELDS) - (left_open() - of_token.keys() - set(profile.lock_also))


@contextmanager
def canary_of(make_broker: MakeBroker, folder: Path, found: Mapping[str, Profile]) -> Iterator[Canary]:
    """A broker that serves the profiles, in front of a stand-in of its own."""
    profiles = {
        place: ("default" if place == SHIPPED else f"sample-{number}", profile)
        for number, (place, profile) in enumerate(found.items())
    }
    lines = ["[project]", "sessions = 1000000", PLAN]
    for name, profile in profiles.values():
        lines.append(f"[profiles.{name}]")
        kept = profile.model_dump(include={"models", "lock", "lock_also", "slice_seconds", "config"})
        kept["connect_within_seconds"] = profile.connect_within_seconds
        lines += [f"{key} = {toml_of(value)}" for key, value in kept.items()]
    config = folder / "broker.toml"
    config.write_text("\n".join(lines))
    with StandIn(port=0, time_scale=SCALE) as standin:
        broker = make_broker(standin.url, env={"BROKER_CONFIG": str(config)})
        broker.add_user("alice")
        with broker.client("alice") as http:
            yield Canary(broker, standin, http, profiles)
        broker.close()
