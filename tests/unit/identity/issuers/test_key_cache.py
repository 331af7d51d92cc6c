"""The key cache: known keys without waiting, few fetches, long retention. The tests advance the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from broker.errors import Refusal
from broker.identity.issuers import key_cache
from broker.identity.issuers.jwks import IssuerKey, KeySetRefused
from broker.identity.issuers.key_cache import KeyCache

HOUR = 3600


class Issuer:
    """The answers of a key server, a count of the fetches, and a clock."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.down = False
        self.fetches = 0
        self.now = 1000.0
        self.gate: threading.Event | None = None

    def load(self) -> Mapping[str, IssuerKey]:
        self.fetches += 1
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.down:
            raise KeySetRefused("HTTP status 500")
        return {kid: IssuerKey(kid, None, frozenset({"RS256"})) for kid in self.kids}

    def cache(self, spawn: Callable[[Callable[[], None]], None] = lambda work: work()) -> KeyCache:
        return KeyCache("test", self.load, clock=lambda: self.now, spawn=spawn)

    def threaded(self) -> KeyCache:
        return KeyCache("test", self.load, clock=lambda: self.now)


def code(cache: KeyCache, kid: str) -> str:
    with pytest.raises(Refusal) as refused:
        cache.key(kid)
    return refused.value.code


def test_keys_are_loaded_once_for_many_tokens() -> None:
    issuer = Issuer("a", "b")
    cache = issuer.cache()
    assert [cache.key(kid).kid for kid in "abab"] == ["a", "b", "a", "b"]
    assert issuer.fetches == 1


def test_known_keys_stay_valid_for_an_hour_without_the_key_server() -> None:
    issuer = Issuer("a")
    cache = issuer.cache()
    cache.key("a")
    issuer.down = True
    for _ in range(HOUR):
        issuer.now += 1
        assert cache.key("a").kid == "a"
    assert issuer.fetches - 1 <= HOUR / key_cache.COOLDOWN_SECONDS


def test_last_good_keys_stay_valid_for_a_day_and_not_longer() -> None:
    issuer = Issuer("a")
    cache = issuer.cache()
    cache.key("a")
    issuer.down = True
    issuer.now += 24 * HOUR - 1
    assert cache.key("a").kid == "a"
    issuer.now += 2
    assert code(cache, "a") == "keys-unavailable"
    issuer.down = False
    issuer.now += key_cache.COOLDOWN_SECONDS
    assert cache.key("a").kid == "a"


def test_empty_set_does_not_replace_good_keys() -> None:
    issuer = Issuer("a")
    cache = issuer.cache()
    cache.key("a")
    issuer.kids = ()
    issuer.now += HOUR
    assert cache.key("a").kid == "a"


def test_removed_key_is_gone_after_the_next_fetch() -> None:
    issuer = Issuer("a", "b")
    cache = issuer.cache()
    cache.key("a")
    issuer.kids = ("b",)
    issuer.now += key_cache.FRESH_SECONDS + 1
    cache.key("b")  # begins the fetch in the background
    assert code(cache, "a") == "invalid-token"


def test_many_unknown_kids_cause_few_fetches() -> None:
    issuer = Issuer("a")
    cache = issuer.cache()
    cache.key("a")
    for number in range(1000):
        issuer.now += 0.06  # a minute in all
        assert code(cache, f"unknown-{number}") == "invalid-token"
        assert cache.key("a").kid == "a"
    assert issuer.fetches <= 1 + 2


@pytest.mark.parametrize("asked_beforehand", [1, 2, 20])
def test_new_key_is_found_within_the_cooldown_whoever_asked_for_it_before(asked_beforehand: int) -> None:
    issuer = Issuer("old")
    cache = issuer.cache()
    cache.key("old")
    for _ in range(asked_beforehand):
        issuer.now += key_cache.COOLDOWN_SECONDS
        assert code(cache, "new") == "invalid-token"
    issuer.kids = ("old", "new")
    issuer.now += 8
    assert code(cache, "new") == "invalid-token"
    issuer.now += key_cache.COOLDOWN_SECONDS - 8
    assert cache.key("new").kid == "new"


def test_key_of_an_issuer_that_was_down_is_found_after_the_cooldown() -> None:
    issuer = Issuer("old")
    cache = issuer.cache()
    cache.key("old")
    issuer.now += key_cache.COOLDOWN_SECONDS
    issuer.down = True
    assert code(cache, "new") == "keys-unavailable"
    issuer.down, issuer.kids = False, ("old", "new")
    issuer.now += key_cache.COOLDOWN_SECONDS
    assert cache.key("new").kid == "new"


def test_stream_of_unknown_kids_does_not_delay_a_new_key() -> None:
    issuer = Issuer("old")
    cache = issuer.cache()
    cache.key("old")
    issuer.kids = ("old", "new")
    waited = 0
    while issuer.fetches < 2:
        code(cache, f"unknown-{waited}")
        issuer.now += 1
        waited += 1
    assert waited <= key_cache.COOLDOWN_SECONDS + 1
    assert cache.key("new").kid == "new"


def test_new_key_is_fetched_when_a_token_names_it() -> None:
    issuer = Issuer("old")
    cache = issuer.cache()
    cache.key("old")
    issuer.kids = ("old", "new")
    issuer.now += key_cache.COOLDOWN_SECONDS
    assert cache.key("new").kid == "new"


def test_key_published_during_the_cooldown_is_found_right_after_it() -> None:
    """The first refusal came without a fetch, so the kid must not be remembered as unknown."""
    issuer = Issuer("old")
    cache = issuer.cache()
    cache.key("old")
    issuer.kids = ("old", "new")
    assert code(cache, "new") == "invalid-token"
    issuer.now += key_cache.COOLDOWN_SECONDS
    assert cache.key("new").kid == "new"


def test_unknown_kid_becomes_known_once_it_is_published() -> None:
    issuer = Issuer("old")
    cache = issuer.cache()
    assert code(cache, "new") == "invalid-token"  # fetched, and remembered as unknown
    issuer.kids = ("old", "new")
    issuer.now += key_cache.FRESH_SECONDS + 1
    cache.key("old")
    assert cache.key("new").kid == "new"


def test_cooldown_applies_after_failures() -> None:
    issuer = Issuer("a")
    issuer.down = True
    cache = issuer.cache()
    for _ in range(200):
        assert code(cache, "a") == "keys-unavailable"
    assert issuer.fetches == 1
    issuer.now += key_cache.COOLDOWN_EMPTY_SECONDS
    assert code(cache, "a") == "keys-unavailable"
    assert issuer.fetches == 2


def test_refusal_reports_when_to_retry() -> None:
    issuer = Issuer("a")
    issuer.down = True
    with pytest.raises(Refusal) as refused:
        issuer.cache().key("a")
    assert refused.value.retry_after_seconds == key_cache.COOLDOWN_EMPTY_SECONDS


def test_unknown_kid_is_not_invalid_while_the_server_fails() -> None:
    """So the answer is to retry later, not that the token is invalid."""
    issuer = Issuer("a")
    cache = issuer.cache()
    cache.key("a")
    issuer.down = True
    issuer.now += HOUR
    assert code(cache, "b") == "keys-unavailable"
    assert cache.key("a").kid == "a"


def test_fetch_ends_after_any_error() -> None:
    def broken() -> Mapping[str, IssuerKey]:
        raise RecursionError

    cache = KeyCache("test", broken, spawn=lambda work: work())
    assert code(cache, "a") == "keys-unavailable"


def test_missing_thread_is_a_failure() -> None:
    def no_thread(_work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    assert code(Issuer("a").cache(no_thread), "a") == "keys-unavailable"


def test_known_keys_never_wait_for_a_hanging_fetch() -> None:
    issuer = Issuer("a")
    cache = issuer.threaded()
    cache.key("a")
    issuer.now += HOUR
    issuer.gate = threading.Event()
    try:
        with ThreadPoolExecutor(key_cache.MAX_WAITING + 4) as pool:
            others = [pool.submit(code, cache, f"unknown-{n}") for n in range(key_cache.MAX_WAITING + 4)]
            # Callers beyond MAX_WAITING are refused while the fetch still hangs.
            until = time.monotonic() + 10
            while sum(other.done() for other in others) < 4 and time.monotonic() < until:
                time.sleep(0.001)
            waiting = [other for other in others if not other.done()]
            started = time.perf_counter()
            known = [cache.key("a").kid for _ in range(1000)]
            took = time.perf_counter() - started
            issuer.gate.set()
            answers = [other.result() for other in others]
    finally:
        issuer.gate.set()
    assert known == ["a"] * 1000
    assert took < key_cache.WAIT_SECONDS / 2  # none of the 1,000 calls waited
    assert len(waiting) == key_cache.MAX_WAITING
    assert set(answers) <= {"invalid-token", "keys-unavailable"}
    assert issuer.fetches == 2


def test_concurrent_callers_share_one_fetch() -> None:
    issuer = Issuer("a")
    issuer.gate = threading.Event()
    cache = issuer.threaded()
    cache.prefetch()
    with ThreadPoolExecutor(key_cache.MAX_WAITING) as pool:
        keys = [pool.submit(cache.key, "a") for _ in range(key_cache.MAX_WAITING)]
        time.sleep(0.05)
        issuer.gate.set()
        assert [key.result().kid for key in keys] == ["a"] * key_cache.MAX_WAITING
    assert issuer.fetches == 1
