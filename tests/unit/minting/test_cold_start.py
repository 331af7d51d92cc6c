"""Many callers arrive while nothing is known about a model: one asks Google, and its answer is everyone's.

No test measures a time: the look-up answers when the test says so.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from broker.errors import Refusal
from broker.minting import models
from broker.minting.models import CACHE_SECONDS, ModelDirectory

CALLERS = 256


class Google:
    """Look-ups that wait until the test answers them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = 100.0
        self.answers: dict[str, bool | BaseException] = {}
        self._answered = threading.Condition()

    def __call__(self, model: str) -> bool:
        with self._answered:
            self.asked.append(model)
            self._answered.notify_all()
            assert self._answered.wait_for(lambda: model in self.answers, 30)
            answer = self.answers[model]
        if isinstance(answer, bool):
            return answer
        raise answer

    def answer(self, model: str, answer: bool | BaseException) -> None:
        with self._answered:
            self.answers[model] = answer
            self._answered.notify_all()

    def wait_until_asked(self, model: str, times: int = 1) -> None:
        with self._answered:
            assert self._answered.wait_for(lambda: self.asked.count(model) >= times, 30), self.asked

    def directory(self) -> ModelDirectory:
        return ModelDirectory(self, lambda: self.now)


class Callers:
    """Threads that ask for a model, and how each was answered: with a model or a code."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self._threads: list[threading.Thread] = []

    def start(self, number: int, ask: Callable[[], str]) -> None:
        threads = [threading.Thread(target=self._ask, args=(ask,), daemon=True) for _ in range(number)]
        self._threads += threads
        for thread in threads:
            thread.start()

    def _ask(self, ask: Callable[[], str]) -> None:
        try:
            self.answers.append(ask())
        except Refusal as refusal:
            self.answers.append(refusal.code)
        except SystemExit as fault:
            self.answers.append(type(fault).__name__)

    def join(self) -> Counter[str]:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        return Counter(self.answers)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers wait for as long as a busy machine takes to start 256 threads."""
    monkeypatch.setattr(models, "WAIT_SECONDS", 30.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, "a"),
        (Refusal("upstream-timeout"), "upstream-timeout"),
        (Refusal("busy"), "busy"),
    ],
    ids=["offered", "timeout", "busy"],
)
def test_one_answer_releases_all_that_wait(answer: bool | Refusal, expected: str) -> None:
    google, callers = Google(), Callers()
    directory = google.directory()
    callers.start(CALLERS, lambda: directory.first_offered(["a"]))
    google.wait_until_asked("a")
    assert callers.answers == []
    google.answer("a", answer)
    assert callers.join() == {expected: CALLERS}
    assert google.asked == ["a"]


@pytest.mark.usefixtures("patient")
def test_waiting_callers_of_one_model_do_not_wait_for_another() -> None:
    google, callers, others = Google(), Callers(), Callers()
    directory = google.directory()
    callers.start(16, lambda: directory.first_offered(["hangs"]))
    google.wait_until_asked("hangs")
    others.start(16, lambda: directory.first_offered(["answers"]))
    google.wait_until_asked("answers")
    google.answer("answers", True)
    assert others.join() == {"answers": 16}
    assert callers.answers == []
    google.answer("hangs", True)
    assert callers.join() == {"hangs": 16}
    assert sorted(google.asked) == ["answers", "hangs"]


def test_callers_wait_for_all_models_of_a_profile_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is for the caller, not for each model. Its look-up goes on for those who come later."""
    monkeypatch.setattr(models, "WAIT_SECONDS", 0.3)
    google, first, others = Google(), Callers(), Callers()
    directory = google.directory()
    first.start(1, lambda: directory.first_offered(["a", "b"]))
    google.wait_until_asked("a")
    others.start(64, lambda: directory.first_offered(["a", "b"]))
    assert others.join() == {"busy": 64}
    assert first.answers == []
    google.answer("a", False)
    assert first.join() == {"busy": 1}, "its time is over, so it does not begin with the second model"
    google.answer("b", True)
    assert directory.first_offered(["a", "b"]) == "b"
    assert google.asked == ["a", "b"]


def test_expired_answer_is_used_while_a_look_up_hangs() -> None:
    google, callers, others = Google(), Callers(), Callers()
    directory = google.directory()
    google.answer("a", True)
    directory.first_offered(["a"])
    del google.answers["a"]
    google.now += CACHE_SECONDS
    callers.start(1, lambda: directory.first_offered(["a"]))
    google.wait_until_asked("a", 2)
    others.start(64, lambda: directory.first_offered(["a"]))
    assert others.join() == {"a": 64}
    google.answer("a", True)
    assert callers.join() == {"a": 1}
    assert google.asked == ["a", "a"]


@pytest.mark.usefixtures("patient")
def test_look_up_that_dies_releases_those_who_wait() -> None:
    google, callers = Google(), Callers()
    directory = google.directory()
    callers.start(8, lambda: directory.first_offered(["a"]))
    google.wait_until_asked("a")
    google.answer("a", SystemExit())
    seen = callers.join()
    assert set(seen) <= {"SystemExit", "upstream-error"}
    assert seen["SystemExit"] >= 1
    google.answer("a", True)
    assert directory.first_offered(["a"]) == "a"
