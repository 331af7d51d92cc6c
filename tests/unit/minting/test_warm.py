"""Warm tokens: how many are kept, who gets one, and when they are discarded. The clock is the test's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from broker.errors import Refusal
from broker.minting.minter import MintedToken, Minter, TokenPlan, TokenTimes
from broker.minting.warm import LOOK_SECONDS, WarmTokens
from broker.minting.warm_shelf import IDLE_SECONDS, LONGEST_PAUSE_SECONDS, RECENT_SECONDS, WarmToken
from broker.profiles.profile import WARM_WAIT_SECONDS, Profile
from broker.telemetry.metrics import WARM_TOKENS

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAN, OTHER_PLAN = TokenPlan("models/first", {}, ()), TokenPlan("models/second", {}, ())
_names = count()


class Google(Minter):
    """Mints what it is asked for, or fails with `fault`."""

    def __init__(self) -> None:
        self.fault: BaseException | None = None
        self.calls: list[TokenTimes] = []

    def token_plan(self, profile: Profile, handle: str | None = None, model: str | None = None) -> TokenPlan:
        raise AssertionError("it may have to ask Google, in a caller's place")

    def is_ready(self, profile: Profile) -> bool:
        return True

    def offers_none(self, profile: Profile) -> bool:
        return False

    def check_upstream(self) -> None:
        raise AssertionError("it is for callers")

    def mint(
        self,
        profile: Profile,
        token_plan: TokenPlan,
        *,
        expires_at: datetime,
        connect_by: datetime,
        handle: str | None = None,
    ) -> MintedToken:
        assert handle is None
        self.calls.append(TokenTimes(connect_by, expires_at))
        if self.fault is not None:
            raise self.fault
        return MintedToken(f"auth_tokens/{len(self.calls)}")


@dataclass
class World:
    warm: int = 3
    most_at_once: int = 8
    now: float = 1000.0
    stopped: bool = False
    store_fails: bool = False
    has_threads: bool = True
    google: Google = field(default_factory=Google)

    def __post_init__(self) -> None:
        # A profile of its own for each test, because the figures belong to the process.
        self.profile = Profile(name=f"warm-{next(_names)}", warm=self.warm)
        self.started: list[Callable[[], None]] = []
        self.pool = WarmTokens(
            [self.profile, Profile(name="cold")],
            self.google,
            is_stopped=self._is_stopped,
            most_at_once=self.most_at_once,
            clock=lambda: self.now,
            start=self._start,
        )
        shelf = self.pool.shelf(self.profile.name)
        assert shelf is not None
        self.shelf = shelf

    def _is_stopped(self, profile: str) -> bool:
        if self.store_fails:
            raise Refusal("store-unavailable")
        return self.stopped and profile == self.profile.name

    def _start(self, call: Callable[[], None]) -> None:
        if not self.has_threads:
            raise RuntimeError("can't start new thread")
        self.started.append(call)

    @property
    def store_time(self) -> datetime:
        return NOON + timedelta(seconds=self.now)

    def want(self, times: int = 1, plan: TokenPlan = PLAN) -> None:
        for _ in range(times):
            self.pool.want(self.shelf, plan, self.store_time)
        self.started.clear()  # the first request starts the pool's thread; here, the test takes its part

    def tend(self) -> int:
        """As the thread does, and runs all calls that are due. Returns how many."""
        self.started.clear()
        self.pool.tend()
        calls, self.started[:] = list(self.started), []
        for call in calls:
            call()
        return len(calls)

    def pass_(self, seconds: float) -> None:
        self.now += seconds

    def count(self, outcome: str) -> float:
        return float(WARM_TOKENS.labels(self.profile.name, outcome)._value.get())


def test_profile_without_the_setting_has_no_shelf() -> None:
    assert World().pool.shelf("cold") is None


def test_nothing_is_minted_before_anyone_asks() -> None:
    world = World()
    assert world.tend() == 0
    assert world.shelf.lend(PLAN) is None


@pytest.mark.parametrize(("asked", "kept"), [(1, 1), (2, 2), (3, 3), (50, 3)])
def test_as_many_as_the_last_minute_used_are_kept_at_most_n(asked: int, kept: int) -> None:
    world = World()
    world.want(asked)
    assert world.tend() == kept
    assert world.tend() == 0


def test_demand_fades_to_one_and_after_ten_minutes_to_none() -> None:
    world = World()
    world.want(3)
    world.pass_(RECENT_SECONDS)
    assert world.tend() == 1
    world.pass_(IDLE_SECONDS - RECENT_SECONDS - 1)
    assert world.tend() == 1
    world.pass_(WARM_WAIT_SECONDS + 1)
    assert (world.tend(), world.shelf.is_active) == (0, False)
    assert world.count("wasted") == 2


def test_token_lives_as_promised_at_every_moment_at_which_it_may_be_lent() -> None:
    world = World()
    world.want()
    world.pass_(5)
    world.tend()
    minted_at = world.store_time
    (times,) = world.google.calls
    assert times.expires_at == minted_at + timedelta(seconds=900 + WARM_WAIT_SECONDS)
    assert times.connect_by == minted_at + timedelta(seconds=120 + WARM_WAIT_SECONDS)
    while world.store_time - minted_at < timedelta(seconds=2 * WARM_WAIT_SECONDS):
        if token := world.shelf.lend(PLAN):
            assert token.times.expires_at - world.store_time >= timedelta(seconds=900)
            assert token.times.connect_by - world.store_time >= timedelta(seconds=120)
            world.shelf.put_back(token)
        world.pass_(0.5)
    assert (world.shelf.lend(PLAN), world.count("wasted")) == (None, 1)


def test_token_is_minted_late_by_a_slow_google_and_not_lent_for_longer() -> None:
    world = World()
    world.want()
    world.pool.tend()
    world.pass_(WARM_WAIT_SECONDS)
    world.started.pop()()
    assert (world.shelf.lend(PLAN), world.count("wasted")) == (None, 1)


def test_each_token_is_lent_to_one_caller_the_oldest_first() -> None:
    world = World()
    world.want(2)
    world.tend()
    first, second = world.shelf.lend(PLAN), world.shelf.lend(PLAN)
    assert first
    assert second
    assert (first.token.name, second.token.name) == ("auth_tokens/1", "auth_tokens/2")
    assert world.shelf.lend(PLAN) is None
    world.shelf.put_back(second)
    world.shelf.put_back(first)
    assert world.shelf.lend(PLAN) == first
    world.shelf.deliver()
    assert (world.count("hit"), world.count("wasted")) == (1, 0)


def test_lent_tokens_count_among_the_n() -> None:
    world = World()
    world.want(3)
    world.tend()
    token = world.shelf.lend(PLAN)
    assert token
    assert world.tend() == 0
    world.shelf.deliver()
    assert world.tend() == 1


def test_token_that_became_too_old_while_it_was_lent_is_wasted() -> None:
    world = World()
    world.want()
    world.tend()
    token = world.shelf.lend(PLAN)
    assert token
    world.pass_(WARM_WAIT_SECONDS)
    world.shelf.put_back(token)
    assert (world.shelf.lend(PLAN), world.count("wasted")) == (None, 1)


def test_another_model_discards_the_tokens_of_the_previous_one() -> None:
    world = World()
    world.want(2)
    world.tend()
    assert world.shelf.lend(OTHER_PLAN) is None
    assert world.count("wasted") == 2
    world.want(plan=OTHER_PLAN)
    assert world.tend() == 3
    token = world.shelf.lend(OTHER_PLAN)
    assert token
    assert token.plan == OTHER_PLAN


def test_suspension_discards_all_and_stops_the_refill() -> None:
    world = World()
    world.want(3)
    world.tend()
    world.stopped = True
    world.pass_(LOOK_SECONDS)
    assert (world.tend(), world.shelf.lend(PLAN), world.count("wasted")) == (0, None, 3)
    world.pass_(LOOK_SECONDS)
    assert world.tend() == 0
    world.stopped = False
    world.pass_(LOOK_SECONDS)
    assert world.tend() == 3


def test_token_that_was_under_way_when_a_suspension_began_is_discarded() -> None:
    world = World(warm=1)
    world.want()
    world.pool.tend()
    world.stopped = True
    world.started.pop()()
    world.pass_(LOOK_SECONDS)
    world.tend()
    assert (world.shelf.lend(PLAN), world.count("wasted")) == (None, 1)


def test_nothing_is_minted_while_the_store_does_not_answer() -> None:
    world = World()
    world.store_fails = True
    world.want()
    assert world.tend() == 0
    world.store_fails = False
    world.pass_(LOOK_SECONDS)
    assert world.tend() == 1


@pytest.mark.parametrize(
    "fault", [Refusal("upstream-error"), Refusal("upstream-timeout"), RuntimeError("a bug")]
)
def test_pauses_grow_while_google_fails_and_end_with_the_first_success(fault: Exception) -> None:
    world = World(warm=1)
    world.google.fault = fault
    pauses = []
    for _ in range(9):
        world.want()
        assert world.tend() == 1
        began = world.now
        while not world.shelf.missing():
            world.pass_(0.25)
            world.want()
        pauses.append(world.now - began)
    assert all(2.0**n / 2 <= pause <= 2.0**n + 0.25 for n, pause in enumerate(pauses[:5], 1))
    assert all(LONGEST_PAUSE_SECONDS / 2 <= pause <= LONGEST_PAUSE_SECONDS + 0.25 for pause in pauses[5:])
    world.google.fault = None
    assert world.tend() == 1
    assert world.shelf.lend(PLAN)
    world.shelf.deliver()
    assert world.tend() == 1, "no pause is left"


def test_calls_that_fail_together_count_as_one_failure() -> None:
    world = World(warm=8)
    world.google.fault = Refusal("upstream-error")
    world.want(8)
    assert world.tend() == 8
    world.pass_(2.01)
    assert world.tend() == 8


def test_pause_is_as_long_as_google_asks() -> None:
    world = World()
    world.google.fault = Refusal("upstream-quota", retry_after_seconds=90)
    world.want()
    world.tend()
    world.pass_(89)
    world.want()
    assert world.tend() == 0
    world.pass_(1)
    assert world.tend() == 1


def test_few_calls_run_at_once() -> None:
    world = World(warm=50, most_at_once=4)
    world.want(50)
    assert [world.tend() for _ in range(3)] == [4, 4, 4]


def test_system_without_a_free_thread_costs_only_the_token() -> None:
    world = World(warm=1, most_at_once=1)
    world.want()
    world.has_threads = False
    world.pool.tend()
    world.has_threads = True
    world.pass_(2.01)
    assert world.tend() == 1


def test_system_without_a_thread_for_the_pool_disturbs_no_request() -> None:
    world = World()
    world.has_threads = False
    world.pool.want(world.shelf, PLAN, world.store_time)
    world.has_threads = True
    world.pool.want(world.shelf, PLAN, world.store_time)
    assert len(world.started) == 1


def test_closed_pool_wastes_what_is_left_and_mints_no_more() -> None:
    world = World()
    world.want(3)
    world.pool.tend()
    first, *late = world.started[:]
    first()
    world.pool.close()
    for call in late:
        call()
    world.want(3)
    assert (world.tend(), world.shelf.lend(PLAN), world.count("wasted")) == (0, None, 3)


def test_token_is_in_no_representation() -> None:
    world = World()
    world.want()
    world.tend()
    token = world.shelf.lend(PLAN)
    assert "auth_tokens" not in repr(token)


def test_its_own_thread_fills_the_shelf_after_the_first_request() -> None:
    profile = Profile(name=f"warm-{next(_names)}", warm=2)
    pool = WarmTokens([profile], Google(), is_stopped=lambda _: False, most_at_once=2)
    shelf = pool.shelf(profile.name)
    assert shelf
    before = threading.active_count()
    pool.want(shelf, PLAN, NOON)
    pool.want(shelf, PLAN, NOON)
    try:
        assert threading.active_count() > before
        lent: list[WarmToken] = []
        until = time.monotonic() + 10
        while len(lent) < 2 and time.monotonic() < until:
            time.sleep(0.01)
            if token := shelf.lend(PLAN):
                lent.append(token)
        assert len({token.token for token in lent}) == 2
    finally:
        pool.close()
