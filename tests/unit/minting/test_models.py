"""The model directory: the first model that Google offers, asked rarely, and a retired one survived."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from broker.errors import Refusal
from broker.minting.models import COOL_SECONDS, KEEP_SECONDS, ModelDirectory


class Google:
    """Answers from `offered`, or raises what `fault` holds."""

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


def test_the_first_that_is_offered_is_used() -> None:
    google = Google("b", "c")
    assert google.directory().first_offered(["a", "b", "c"]) == "b"
    assert google.asked == ["a", "b"]


def test_answers_are_kept_for_a_while_only() -> None:
    google = Google("a", "b")
    directory = google.directory()
    for _ in range(10):
        assert directory.first_offered(["a", "b"]) == "a"
    assert google.asked == ["a"]
    google.offered = {"b"}
    google.now += KEEP_SECONDS
    assert directory.first_offered(["a", "b"]) == "b"


def test_none_offered_is_our_mistake_not_the_callers() -> None:
    with pytest.raises(Refusal) as raised:
        Google().directory().first_offered(["a", "b"])
    assert raised.value.code == "upstream-rejected"


def test_an_old_answer_outlives_an_outage() -> None:
    google = Google("a")
    directory = google.directory()
    directory.first_offered(["a"])
    google.now += KEEP_SECONDS
    google.fault = down
    for _ in range(5):
        assert directory.first_offered(["a"]) == "a"
    assert len(google.asked) == 2, "asked once more, then not again for a while"


def test_a_failed_question_is_not_repeated_by_everybody() -> None:
    google = Google("a")
    google.fault = down
    directory = google.directory()
    for _ in range(5):
        with pytest.raises(Refusal) as raised:
            directory.first_offered(["a"])
        assert raised.value.code == "upstream-timeout"
    assert len(google.asked) == 1
    google.now += COOL_SECONDS
    google.fault = None
    assert directory.first_offered(["a"]) == "a"


def test_many_at_once_ask_once() -> None:
    google = Google("a")
    gate = threading.Barrier(16)
    directory = google.directory()
    found: list[str] = []

    def ask() -> None:
        gate.wait(10)
        found.append(directory.first_offered(["a"]))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == ["a"] * 16
    assert google.asked == ["a"]


def test_knows_only_what_stays_known_for_as_long_as_a_request_takes() -> None:
    google = Google("b")
    directory = google.directory()
    assert not directory.knows(["a", "b"])
    directory.first_offered(["a", "b"])
    assert directory.knows(["a", "b"])
    assert not directory.knows(["c", "b"])
    google.now += KEEP_SECONDS - 9
    assert not directory.knows(["a", "b"])
