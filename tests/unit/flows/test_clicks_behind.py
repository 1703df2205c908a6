"""Days that wait for their read models, touched and taken at the same time; and the thread that tends them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import Refused, Unavailable
from flows.clicks.behind import Behind, Chunk, StoreDay
from flows.clicks.keeper import Keeper

DEADLINE_SECONDS = 10
TODAY, TOMORROW = ("shop", 20_000), ("shop", 20_001)


def test_a_day_that_is_touched_while_it_is_read_is_behind_again() -> None:
    behind = Behind()
    behind.touch([TODAY], 0, 0, 9)
    behind.take(10, saves=True)
    behind.touch([TODAY], 0, 10, 14)
    behind.settle(told=True, saved=True)
    assert (behind.days, behind.records) == (1, 4)
    assert behind.take(10, saves=True).days == {TODAY}


def test_what_could_not_be_saved_stays_behind_with_all_its_records() -> None:
    behind = Behind()
    behind.touch([TODAY], 0, 0, 9)
    behind.touch([TODAY], 1, 100, 130)
    behind.take(10, saves=True)
    behind.touch([TOMORROW], 0, 10, 14)
    behind.settle(told=True, saved=False)
    assert (behind.days, behind.records) == (2, 30)
    chunk = behind.take(10, saves=True)
    assert chunk.days == {TODAY, TOMORROW}
    assert chunk.untold == {TOMORROW}


def test_records_count_as_behind_until_the_last_of_their_days_is_saved() -> None:
    behind = Behind()
    behind.touch([TODAY, TOMORROW], 0, 0, 9)
    seen = []
    for _ in range(2):
        behind.take(1, saves=True)
        seen.append((behind.days, behind.records))
        behind.settle(told=True, saved=True)
        seen.append((behind.days, behind.records))
    assert seen == [(2, 9), (1, 9), (1, 9), (0, 0)]


def test_records_that_changed_no_day_put_nothing_behind() -> None:
    behind = Behind()
    behind.touch([], 0, 0, 5_000_000)
    assert (behind.days, behind.records, behind.take(10, saves=True).days) == (0, 0, frozenset())


def test_while_mongo_is_away_a_day_is_told_once_and_stays_behind() -> None:
    behind = Behind()
    behind.touch([TODAY], 0, 0, 9)
    assert behind.take(10, saves=False).days == {TODAY}
    behind.settle(told=True, saved=False)
    assert behind.take(10, saves=False).days == frozenset()
    behind.settle(told=False, saved=False)
    assert behind.days == 1


def test_days_that_are_touched_all_the_time_all_get_their_turn_and_their_records_do_not_pile_up() -> None:
    behind, days, seen, most = Behind(), [("shop", day) for day in range(30)], set[StoreDay](), 0
    for turn in range(8):
        behind.touch(days, 0, 100 * turn, 100 * turn + 99)
        seen |= behind.take(10, saves=True).days
        behind.settle(told=True, saved=True)
        most = max(most, behind.records)
    assert seen == set(days)
    # A pass of three turns and the one before it.
    assert most <= 600


def test_days_whose_reading_fails_go_behind_those_that_wait() -> None:
    behind, days = Behind(), [("shop", day) for day in range(4)]
    behind.touch(days, 0, 0, 9)
    tries = []
    for _ in range(3):
        tries += sorted(behind.take(2, saves=True).days)
        behind.settle(told=False, saved=False)
    assert tries == [*days, *days[:2]]
    assert (behind.days, behind.records) == (4, 9)


_STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 3)),
    max_size=30,
)


@given(_STEPS)
def test_nothing_is_lost_whatever_fails_and_whenever_it_is_touched(
    steps: list[tuple[int, int, bool, bool, bool, int]],
) -> None:
    behind, touched, told, saved = Behind(), Counter[StoreDay](), Counter[StoreDay](), Counter[StoreDay]()

    def touch(number: int, at: int) -> None:
        behind.touch([("shop", number)], 0, at, at)
        touched["shop", number] = at

    def settle(chunk: Chunk, read: Counter[StoreDay], tells: bool, saves: bool) -> None:
        behind.settle(told=tells, saved=saves)
        told.update({day: read[day] - told[day] for day in chunk.untold if tells})
        saved.update({day: read[day] - saved[day] for day in chunk.unsaved if saves})

    last = 0
    for at, (before, meanwhile, may_save, reads, works, at_most) in enumerate(steps, 1):
        touch(before, 2 * at)
        chunk, read = behind.take(at_most, may_save), Counter(touched)
        touch(meanwhile, last := 2 * at + 1)
        settle(chunk, read, reads, reads and works and may_save)
        oldest = min((at for day, at in touched.items() if saved[day] < at), default=last)
        assert behind.records >= last - oldest
        assert behind.days >= sum(saved[day] < at for day, at in touched.items())
    while (chunk := behind.take(2, saves=True)).days:
        settle(chunk, Counter(touched), True, True)
    assert told == saved == touched
    assert (behind.days, behind.records) == (0, 0)


class Tended:
    """Counts its visits, and answers each as it was told to; the last answer holds."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = iter(answers)
        self.visits, self.enough = 0, threading.Event()

    def __call__(self) -> None:
        self.visits += 1
        if self.visits == 3:
            self.enough.set()
        answer = next(self._answers, None)
        if answer is not None:
            raise answer


@pytest.fixture
def keepers() -> Iterator[list[Keeper]]:
    made: list[Keeper] = []
    yield made
    for keeper in made:
        keeper.end()


def test_a_keeper_comes_again_after_what_it_asks_was_away(keepers: list[Keeper]) -> None:
    tended = Tended(Unavailable("away"))
    keepers.append(Keeper(tended, 0.001))
    keepers[-1].start()
    assert tended.enough.wait(DEADLINE_SECONDS)
    keepers[0].check()


def test_any_other_error_of_a_keeper_reaches_those_whom_it_serves(keepers: list[Keeper]) -> None:
    tended = Tended(None, Refused("a bug"))
    keepers.append(Keeper(tended, 0.001))
    keepers[-1].start()
    keepers[0].wait(DEADLINE_SECONDS)
    with pytest.raises(Refused, match="a bug"):
        keepers[0].check()
    assert tended.visits == 2
