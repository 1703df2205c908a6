"""Sweeps: at once while there is something to do, now and then where there is not, and rarely where they fail."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from connectors.errors import Unavailable
from marketplace.errors import Stop
from marketplace.sagas.declaration import Service
from saga_consumers.consumer import SagaConsumer
from saga_consumers.sweeper import OVERDUE_SECONDS, Sweeper
from saga_consumers.sweeps import SomeFailed, each_of
from tests.kits.consumer import eventually

NOW = datetime(2026, 11, 30, tzinfo=UTC)


@dataclass
class Work:
    """What is due; an error instead of a number is raised."""

    due: list[int | Exception] = field(default_factory=list)
    sweeps: int = 0

    def sweep(self, now: datetime) -> int:
        self.sweeps += 1
        found = self.due.pop(0) if self.due else 0
        if isinstance(found, Exception):
            raise found
        return found


def sweeper(work: Work, seconds: float = 7.0) -> tuple[Sweeper, SagaConsumer]:
    consumer = SagaConsumer(Service.ORDERS, lambda event, now, trace: True, work.sweep, seconds)
    return Sweeper(consumer, lambda: NOW, backoff_seconds=(1.0, 2.0, 5.0)), consumer


def test_while_there_is_something_to_do_it_is_done_at_once() -> None:
    swept, _ = sweeper(Work([100, 3, 0]))

    assert [swept.step() for _ in range(3)] == [0.0, 0.0, 7.0]
    assert swept.counts.acted == 103


def test_sweeps_that_fail_are_tried_less_and_less_often_and_said_to_be_a_problem_until_one_succeeds() -> None:
    swept, _ = sweeper(Work([Unavailable("Mongo"), ValueError("a bug"), Unavailable("Mongo"), Unavailable("x"), 0]))

    assert [swept.step() for _ in range(2)] == [1.0, 2.0]
    assert swept.problem() == "sweeps fail: ValueError: a bug"
    assert [swept.step() for _ in range(3)] == [5.0, 5.0, 7.0]
    assert (swept.problem(), swept.counts.errors) == ("", 4)


def test_one_failure_is_no_problem_yet() -> None:
    swept, _ = sweeper(Work([Unavailable("Mongo")]))

    swept.step()

    assert swept.problem() == ""


def test_rows_that_cannot_be_acted_on_are_counted_beside_those_that_were() -> None:
    swept, _ = sweeper(Work([SomeFailed("1 of those", 4)]))

    assert swept.step() == 1.0
    assert (swept.counts.acted, swept.counts.errors) == (4, 1)


def test_a_row_that_cannot_be_acted_on_keeps_no_other_waiting() -> None:
    def act(row: str) -> bool:
        if row == "b":
            raise ValueError("broken")
        return row != "c"

    with pytest.raises(SomeFailed, match="row b: ValueError: broken") as failed:
        each_of("row", "abcd", act)
    assert failed.value.acted == 2
    assert each_of("row", "acd", act) == 2


@pytest.mark.parametrize("error", [Unavailable("Mongo"), Stop("no")])
def test_trouble_that_all_rows_meet_ends_the_sweep(error: Exception) -> None:
    asked: list[str] = []

    def act(row: str) -> bool:
        asked.append(row)
        raise error

    with pytest.raises(type(error)):
        each_of("row", "abc", act)
    assert asked == ["a"]


def test_a_consumer_that_made_something_due_is_swept_at_once() -> None:
    work = Work()
    swept, consumer = sweeper(work, seconds=3_600.0)
    swept.start()
    eventually(lambda: work.sweeps == 1, "it begins with a sweep")

    consumer.wake.set()

    eventually(lambda: work.sweeps >= 2, "it is swept again")
    assert swept.stop(5.0)


def test_a_sweep_that_hangs_is_known_and_does_not_keep_the_process_from_ending() -> None:
    release, begun, moment = threading.Event(), threading.Event(), [0.0]

    def sweep(now: datetime) -> int:
        begun.set()
        release.wait(10)
        return 0

    consumer = SagaConsumer(Service.ORDERS, lambda event, now, trace: True, sweep)
    swept = Sweeper(consumer, lambda: NOW, lambda: moment[0])
    swept.start()
    assert begun.wait(5)
    assert swept.problem() == ""

    moment[0] = OVERDUE_SECONDS + 30

    assert (swept.problem(), swept.overdue_seconds()) == ("a sweep has been running for 90 s", 30.0)
    assert not swept.stop(0.05)
    release.set()
    assert swept.stop(5.0)
