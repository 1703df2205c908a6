"""Days that wait for their read models, touched and taken at the same time; and the thread that tends them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import Refused, Unavailable
from flows.clicks.read_models.dirty_days import Chunk, DirtyDays, StoreDay
from runtime.periodic import PeriodicThread

DEADLINE_SECONDS = 10
TODAY, TOMORROW = ("shop", 20_000), ("shop", 20_001)


def test_a_day_that_is_marked_dirty_while_it_is_read_is_behind_again() -> None:
    dirty = DirtyDays()
    dirty.mark([TODAY], 0, 0, 9)
    dirty.take(10, saves=True, shows=True)
    dirty.mark([TODAY], 0, 10, 14)
    dirty.ack(shown=True, saved=True)
    assert (dirty.days, dirty.records) == (1, 4)
    assert dirty.take(10, saves=True, shows=True).days == {TODAY}


def test_what_could_not_be_saved_stays_behind_with_all_its_records() -> None:
    dirty = DirtyDays()
    dirty.mark([TODAY], 0, 0, 9)
    dirty.mark([TODAY], 1, 100, 130)
    dirty.take(10, saves=True, shows=True)
    dirty.mark([TOMORROW], 0, 10, 14)
    dirty.ack(shown=True, saved=False)
    assert (dirty.days, dirty.records) == (2, 30)
    chunk = dirty.take(10, saves=True, shows=True)
    assert chunk.days == {TODAY, TOMORROW}
    assert chunk.unshown == {TOMORROW}


def test_records_count_as_behind_until_the_last_of_their_days_is_saved() -> None:
    dirty = DirtyDays()
    dirty.mark([TODAY, TOMORROW], 0, 0, 9)
    seen = []
    for _ in range(2):
        dirty.take(1, saves=True, shows=True)
        seen.append((dirty.days, dirty.records))
        dirty.ack(shown=True, saved=True)
        seen.append((dirty.days, dirty.records))
    assert seen == [(2, 9), (1, 9), (1, 9), (0, 0)]


def test_records_that_changed_no_day_put_nothing_behind() -> None:
    dirty = DirtyDays()
    dirty.mark([], 0, 0, 5_000_000)
    assert (dirty.days, dirty.records, dirty.take(10, saves=True, shows=True).days) == (0, 0, frozenset())


def test_while_mongo_is_unavailable_a_day_is_shown_once_and_stays_behind() -> None:
    dirty = DirtyDays()
    dirty.mark([TODAY], 0, 0, 9)
    assert dirty.take(10, saves=False, shows=True).days == {TODAY}
    dirty.ack(shown=True, saved=False)
    assert dirty.take(10, saves=False, shows=True).days == frozenset()
    dirty.ack(shown=True, saved=False)
    assert dirty.days == 1


def test_while_redis_is_unavailable_a_day_is_saved_once_and_shown_when_it_is_back() -> None:
    dirty = DirtyDays()
    dirty.mark([TODAY], 0, 0, 9)
    assert dirty.take(10, saves=True, shows=True).days == {TODAY}
    dirty.ack(shown=False, saved=True)
    assert (dirty.days, dirty.records) == (0, 0)
    assert dirty.take(10, saves=True, shows=False).days == frozenset()
    dirty.ack(shown=False, saved=True)
    assert dirty.take(10, saves=True, shows=True) == Chunk(frozenset({TODAY}), frozenset({TODAY}))


def test_of_the_days_of_a_store_the_newest_alone_waits_for_the_tile() -> None:
    dirty = DirtyDays()
    dirty.mark([TOMORROW], 0, 0, 9)
    dirty.mark([TODAY], 0, 10, 19)
    assert dirty.take(10, saves=True, shows=True).unshown == {TOMORROW}


def test_what_an_earlier_process_left_behind_is_shown_too() -> None:
    dirty = DirtyDays()
    dirty.add([TODAY, TOMORROW])
    chunk = dirty.take(10, saves=True, shows=True)
    assert chunk == Chunk(frozenset({TODAY, TOMORROW}), frozenset({TOMORROW}), frozenset({TODAY, TOMORROW}))


def test_days_that_are_marked_dirty_all_the_time_all_get_their_turn_and_their_records_do_not_pile_up() -> None:
    dirty, days, seen, most = DirtyDays(), [("shop", day) for day in range(30)], set[StoreDay](), 0
    for turn in range(8):
        dirty.mark(days, 0, 100 * turn, 100 * turn + 99)
        seen |= dirty.take(10, saves=True, shows=True).days
        dirty.ack(shown=True, saved=True)
        most = max(most, dirty.records)
    assert seen == set(days)
    # A pass of three turns and the one before it.
    assert most <= 600


@pytest.mark.parametrize("at_most", [1, 2])
def test_days_that_cannot_be_read_keep_no_other_from_its_turn(at_most: int) -> None:
    dirty, days = DirtyDays(), [("shop", day) for day in range(4)]
    dirty.mark(days, 0, 0, 9)
    tried = set[StoreDay]()
    for _ in range(8):
        tried |= dirty.take(at_most, saves=True, shows=True).days
        dirty.ack(shown=False, saved=False)
    assert tried == set(days)
    assert (dirty.days, dirty.records) == (4, 9)


_DAYS = [("shop", 0), ("shop", 1), ("shop", 2), ("other", 0), ("other", 1)]
_STEPS = st.lists(
    st.tuples(st.sampled_from(_DAYS), st.sampled_from(_DAYS), *[st.booleans()] * 5, st.integers(1, 3)), max_size=30
)


@given(_STEPS)
def test_nothing_is_lost_whatever_fails_and_whenever_it_is_marked_dirty(
    steps: list[tuple[StoreDay, StoreDay, bool, bool, bool, bool, bool, int]],
) -> None:
    dirty, touched, shown, saved = DirtyDays(), Counter[StoreDay](), Counter[StoreDay](), Counter[StoreDay]()

    def touch(day: StoreDay, at: int) -> None:
        dirty.mark([day], 0, at, at)
        touched[day] = at

    def settle(chunk: Chunk, read: Counter[StoreDay], shows: bool, saves: bool) -> None:
        dirty.ack(shown=shows, saved=saves)
        shown.update({day: read[day] - shown[day] for day in chunk.unshown if shows})
        saved.update({day: read[day] - saved[day] for day in chunk.unsaved if saves})

    last = 0
    for at, (before, meanwhile, may_save, may_show, reads, saves, shows, at_most) in enumerate(steps, 1):
        touch(before, 2 * at)
        chunk, read = dirty.take(at_most, saves=may_save, shows=may_show), Counter(touched)
        assert may_save or not chunk.unsaved
        assert may_show or not chunk.unshown
        touch(meanwhile, last := 2 * at + 1)
        settle(chunk, read, reads and shows and may_show, reads and saves and may_save)
        oldest = min((at for day, at in touched.items() if saved[day] < at), default=last)
        assert dirty.records >= last - oldest
        assert dirty.days >= sum(saved[day] < at for day, at in touched.items())
    while (chunk := dirty.take(2, saves=True, shows=True)).days:
        settle(chunk, Counter(touched), True, True)
    newest = {store: max(day for of, day in touched if of == store) for store, _ in touched}
    assert saved == touched
    assert {day: shown[day] for day in newest.items()} == {day: touched[day] for day in newest.items()}
    assert (dirty.days, dirty.records) == (0, 0)


class Task:
    """Counts its calls, and answers each as it was asked to; the last answer stays."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = iter(answers)
        self.calls, self.enough = 0, threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == 3:
            self.enough.set()
        answer = next(self._answers, None)
        if answer is not None:
            raise answer


@pytest.fixture
def threads() -> Iterator[list[PeriodicThread]]:
    made: list[PeriodicThread] = []
    yield made
    for thread in made:
        thread.end()


def test_a_periodic_thread_calls_again_after_a_part_was_unavailable(threads: list[PeriodicThread]) -> None:
    task = Task(Unavailable("Mongo does not answer"))
    threads.append(PeriodicThread(task, 0.001))
    threads[-1].start()
    assert task.enough.wait(DEADLINE_SECONDS)
    threads[0].check()


def test_any_other_error_of_a_periodic_thread_reaches_those_whom_it_serves(threads: list[PeriodicThread]) -> None:
    task = Task(None, Refused("a bug"))
    threads.append(PeriodicThread(task, 0.001))
    threads[-1].start()
    threads[0].wait(DEADLINE_SECONDS)
    with pytest.raises(Refused, match="a bug"):
        threads[0].check()
    assert task.calls == 2
