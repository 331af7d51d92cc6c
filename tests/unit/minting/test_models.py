"""The model directory uses the first model that Google offers, asks rarely, and survives a retired model."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from broker.errors import Refusal
from broker.minting.models import CACHE_SECONDS, COOLDOWN_SECONDS, ModelDirectory


class Google:
    """Answers from `offered`, or raises the refusal that `fault` returns."""

    def __init__(self, *offered: str) -> None:
        self.offered = set(offered)
        self.fault: Callable[[], Refusal] | None = None
        self.asked: list[str] = []
        self.now = 100.0

    def __call__(self, model: str) -> bool:
        self.asked.append(model)
        if self.fault:
            raise self.fault()
        return model in self.offered

    def directory(self) -> ModelDirectory:
        return ModelDirectory(self, lambda: self.now)


def down() -> Refusal:
    return Refusal("upstream-timeout", reason="ReadTimeout")


def test_first_offered_model_is_used() -> None:
    google = Google("b", "c")
    assert google.directory().first_offered(["a", "b", "c"]) == "b"
    assert google.asked == ["a", "b"]


def test_answers_are_cached_for_a_limited_time() -> None:
    google = Google("a", "b")
    directory = google.directory()
    for _ in range(10):
        assert directory.first_offered(["a", "b"]) == "a"
    assert google.asked == ["a"]
    google.offered = {"b"}
    google.now += CACHE_SECONDS
    assert directory.first_offered(["a", "b"]) == "b"


def test_no_offered_model_is_an_upstream_refusal() -> None:
    with pytest.raises(Refusal) as raised:
        Google().directory().first_offered(["a", "b"])
    assert raised.value.code == "upstream-rejected"


def test_expired_answer_is_used_during_an_outage() -> None:
    google = Google("a")
    directory = google.directory()
    directory.first_offered(["a"])
    google.now += CACHE_SECONDS
    google.fault = down
    for _ in range(5):
        assert directory.first_offered(["a"]) == "a"
    assert len(google.asked) == 2, "asked once more, then not again for a while"


def test_failed_look_up_is_not_repeated_by_every_caller() -> None:
    google = Google("a")
    google.fault = down
    directory = google.directory()
    for _ in range(5):
        with pytest.raises(Refusal) as raised:
            directory.first_offered(["a"])
        assert raised.value.code == "upstream-timeout"
    assert len(google.asked) == 1
    google.now += COOLDOWN_SECONDS
    google.fault = None
    assert directory.first_offered(["a"]) == "a"


def test_concurrent_callers_share_one_look_up() -> None:
    google = Google("a")
    barrier = threading.Barrier(16)
    directory = google.directory()
    found: list[str] = []

    def ask() -> None:
        barrier.wait(10)
        found.append(directory.first_offered(["a"]))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == ["a"] * 16
    assert google.asked == ["a"]


def test_absence_is_known_only_after_a_look_up_of_every_model() -> None:
    google = Google("b")
    directory = google.directory()
    assert not directory.offers_none(["a"])
    with pytest.raises(Refusal):
        directory.first_offered(["a"])
    assert directory.offers_none(["a"])
    assert not directory.offers_none(["a", "c"])
    directory.first_offered(["b"])
    assert not directory.offers_none(["a", "b"])
    google.now += CACHE_SECONDS
    assert directory.offers_none(["a"]), "until the next look-up"
    assert google.asked == ["a", "b"]


def test_is_cached_only_if_answers_outlast_a_request() -> None:
    google = Google("b")
    directory = google.directory()
    assert not directory.is_cached(["a", "b"])
    directory.first_offered(["a", "b"])
    assert directory.is_cached(["a", "b"])
    assert not directory.is_cached(["c", "b"])
    google.now += CACHE_SECONDS - 9
    assert not directory.is_cached(["a", "b"])
