"""QueryCache that viewers share for a moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from connectors.errors import Unavailable
from dashboards.data.query_cache import MAX_ENTRIES, QueryCache

PATIENCE_SECONDS = 10


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """QueryCache with how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.asked


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answers(clock: Clock) -> Iterator[QueryCache]:
    made = QueryCache(clock)
    yield made
    made.close()


def test_an_answer_is_shared_for_its_time_and_asked_again_after_it(answers: QueryCache, clock: Clock) -> None:
    source = Source()
    assert answers.submit("key", 2.0, source).result(PATIENCE_SECONDS) == 1
    clock.now = 1.9
    assert answers.submit("key", 2.0, source).result(PATIENCE_SECONDS) == 1
    clock.now = 2.0
    assert answers.submit("key", 2.0, source).result(PATIENCE_SECONDS) == 2


def test_different_questions_have_answers_of_their_own(answers: QueryCache) -> None:
    source = Source()
    found = {answers.submit(key, 2.0, source).result(PATIENCE_SECONDS) for key in ("a", "b", ("a", "b"))}
    assert found == {1, 2, 3}


def test_an_error_is_reported_and_not_remembered(answers: QueryCache) -> None:
    def away() -> int:
        raise Unavailable("away")

    with pytest.raises(Unavailable, match="away"):
        answers.submit("key", 60.0, away).result(PATIENCE_SECONDS)
    assert answers.submit("key", 60.0, lambda: 7).result(PATIENCE_SECONDS) == 7


def test_who_asks_while_it_is_being_asked_waits_for_the_same_answer(answers: QueryCache, clock: Clock) -> None:
    may_answer, source = threading.Event(), Source()

    def slowly() -> int:
        assert may_answer.wait(PATIENCE_SECONDS)
        return source()

    first = answers.submit("key", 1.0, slowly)
    clock.now = 100.0
    second = answers.submit("key", 1.0, slowly)
    may_answer.set()
    assert first.result(PATIENCE_SECONDS) == second.result(PATIENCE_SECONDS) == 1


def test_questions_are_answered_side_by_side(answers: QueryCache) -> None:
    meeting = threading.Barrier(3)
    futures = [answers.submit(key, 1.0, lambda: meeting.wait(PATIENCE_SECONDS)) for key in range(3)]
    assert {future.result(PATIENCE_SECONDS) for future in futures} == {0, 1, 2}


def test_many_viewers_at_once_ask_each_question_once(answers: QueryCache) -> None:
    sources = [Source() for _ in range(20)]
    with ThreadPoolExecutor(8) as viewers:
        looks = [viewers.submit(answers.submit, at % 20, 60.0, sources[at % 20]) for at in range(400)]
        found = [look.result(PATIENCE_SECONDS).result(PATIENCE_SECONDS) for look in looks]
    assert set(found) == {1}
    assert [source.asked for source in sources] == [1] * 20


def test_only_so_many_answers_are_held_and_the_longest_unused_go_first(answers: QueryCache) -> None:
    first, second = Source(), Source()
    answers.submit("first", 60.0, first).result(PATIENCE_SECONDS)
    answers.submit("second", 60.0, second).result(PATIENCE_SECONDS)
    for number in range(MAX_ENTRIES - 2):
        answers.submit(number, 60.0, lambda: 0)
    answers.submit("first", 60.0, first)
    answers.submit("one more", 60.0, lambda: 0)
    assert answers.submit("first", 60.0, first).result(PATIENCE_SECONDS) == 1
    assert answers.submit("second", 60.0, second).result(PATIENCE_SECONDS) == 2


def test_what_is_forgotten_is_asked_once_more_also_while_it_is_being_asked(answers: QueryCache) -> None:
    source, may_end = Source(), threading.Event()

    def slow() -> int:
        may_end.wait(PATIENCE_SECONDS)
        return source()

    assert answers.submit("a", 5.0, source).result(PATIENCE_SECONDS) == 1
    answers.forget("a")
    running = answers.submit("a", 5.0, slow)
    answers.forget("a")
    assert answers.submit("a", 5.0, source).result(PATIENCE_SECONDS) == 2
    may_end.set()
    assert running.result(PATIENCE_SECONDS) == 3
    # The older question, although it was answered later, is no answer any more.
    assert answers.submit("a", 5.0, source).result(PATIENCE_SECONDS) == 2
    answers.forget("nothing")
