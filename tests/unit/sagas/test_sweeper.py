"""Sweeps: at once while there is something to do, now and then where there is not, and rarely where they fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from connectors.errors import Unavailable
from connectors.mongo.sagas.due import Due
from marketplace.errors import Stop
from marketplace.sagas.declaration import Service
from saga_consumers.consumer import SagaConsumer
from saga_consumers.notifications.store import Found, Places
from saga_consumers.sweeper import OVERDUE_SECONDS, Sweeper
from saga_consumers.sweeps import SomeFailed, each_due, each_of, in_turn

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


def sweeper(work: Work) -> Sweeper:
    consumer = SagaConsumer(Service.ORDERS, lambda event, now, trace: True, work.sweep, 7.0)
    return Sweeper(consumer, lambda: NOW, backoff_seconds=(1.0, 2.0, 5.0))


def test_while_there_is_something_to_do_it_is_done_at_once() -> None:
    swept = sweeper(Work([100, 3, 0]))

    assert [swept.step() for _ in range(3)] == [0.0, 0.0, 7.0]
    assert swept.counts.acted == 103


def test_sweeps_that_fail_are_tried_less_and_less_often_and_said_to_be_a_problem_until_one_succeeds() -> None:
    swept = sweeper(Work([Unavailable("Mongo"), ValueError("a bug"), Unavailable("Mongo"), Unavailable("x"), 0]))

    assert [swept.step() for _ in range(2)] == [1.0, 2.0]
    assert swept.problem() == "sweeps fail: ValueError: a bug"
    assert [swept.step() for _ in range(3)] == [5.0, 5.0, 7.0]
    assert (swept.problem(), swept.counts.errors) == ("", 4)


def test_one_failure_is_no_problem_yet() -> None:
    swept = sweeper(Work([Unavailable("Mongo")]))

    swept.step()

    assert swept.problem() == ""


def test_rows_that_cannot_be_acted_on_are_counted_beside_those_that_were() -> None:
    swept = sweeper(Work([SomeFailed("1 of those", 4)]))

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


def due(*, broken: int, good: int, page: int) -> tuple[list[str], SomeFailed | None, int]:
    """Sweep rows of which the oldest cannot be acted on; gives those that were, the failure, and the pages."""
    rows = [Due(f"b{number:03}", 5) for number in range(broken)] + [Due(f"g{number:03}", 7) for number in range(good)]
    left, acted, pages = {row.id: row for row in rows}, list[str](), 0

    def read(after: tuple[int, str] | None) -> list[Due]:
        nonlocal pages
        pages += 1
        return [row for row in left.values() if after is None or (row.due_ms, row.id) > after][:page]

    def act(row: Due) -> bool:
        if row.id.startswith("b"):
            raise ValueError("broken")
        acted.append(row.id)
        del left[row.id]
        return True

    try:
        assert each_due("row", read, act, page) == len(acted)
    except SomeFailed as failed:
        return acted, failed, pages
    return acted, None, pages


@pytest.mark.parametrize("broken", [1, 9, 10, 11, 35])
def test_however_many_of_the_oldest_rows_cannot_be_acted_on_all_others_are(broken: int) -> None:
    acted, failed, _ = due(broken=broken, good=3, page=10)

    assert acted == ["g000", "g001", "g002"]
    assert failed is not None
    assert (failed.acted, len(failed.failed)) == (3, broken)


def test_rows_that_can_all_be_acted_on_are_a_page_of_each_sweep() -> None:
    """The events that a sweep says are to be handled meanwhile, and the process may be asked to stop."""
    acted, failed, pages = due(broken=0, good=35, page=10)

    assert (len(acted), failed, pages) == (10, None, 1)


def test_of_several_sweeps_of_a_consumer_none_keeps_the_next_one_waiting() -> None:
    def fails() -> int:
        raise SomeFailed("1 of those", 4, ["a"])

    def has_a_bug() -> int:
        raise KeyError("nobody foresaw it")

    with pytest.raises(SomeFailed, match="1 of those; KeyError") as failed:
        in_turn(fails, has_a_bug, lambda: 2)
    assert (failed.value.acted, failed.value.failed) == (6, ("a",))
    assert in_turn(lambda: 1, lambda: 2) == 3


def test_where_mongo_does_not_answer_the_rest_of_a_sweep_waits() -> None:
    def unavailable() -> int:
        raise Unavailable("Mongo")

    rest = Work()
    with pytest.raises(Unavailable):
        in_turn(unavailable, lambda: rest.sweep(NOW))
    assert rest.sweeps == 0


def changes(broken: Collection[int], count: int) -> tuple[Callable[[tuple[int, str]], Found], Callable[[str], bool]]:
    """Rows that were changed one after the other, ten of them a page; some cannot be acted on."""

    def page(since: tuple[int, str]) -> Found:
        rows = [(100_000 * number, str(number)) for number in range(1, count + 1)]
        found = [row for row in rows if row > since][:10]
        return [row[1] for row in found], found[-1] if found else None, len(found) == 10

    def act(row: str) -> bool:
        if int(row) in broken:
            raise ValueError("broken")
        return True

    return page, act


def test_a_change_that_cannot_be_acted_on_keeps_no_later_one_waiting_and_is_acted_on_once_it_can_be() -> None:
    places, broken, acted = Places(), {3, 14}, list[str]()
    page, act = changes(broken, 25)

    def noted(row: str) -> bool:
        done = act(row)
        acted.append(row)
        return done

    for _ in range(2):
        with pytest.raises(SomeFailed) as failed:
            places.sweep("row", page, noted, 10**9)
        assert set(failed.value.failed) == {"3", "14"}
    assert {int(row) for row in acted} == set(range(1, 26)) - broken
    broken.clear()
    places.sweep("row", page, noted, 10**9)

    assert {int(row) for row in acted} == set(range(1, 26))


@pytest.mark.parametrize("error", [Unavailable("Mongo"), Stop("no")])
def test_trouble_that_all_rows_meet_ends_the_sweep(error: Exception) -> None:
    asked: list[str] = []

    def act(row: str) -> bool:
        asked.append(row)
        raise error

    with pytest.raises(type(error)):
        each_of("row", "abc", act)
    assert asked == ["a"]


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
