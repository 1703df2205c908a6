from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.backoff import Backoff


def test_each_failure_in_a_row_has_its_pause_and_the_last_one_repeats() -> None:
    backoff = Backoff(0.1, 0.5, 2.0)

    assert [backoff.pause_seconds(failures) for failures in (1, 2, 3, 4, 1_000)] == [0.1, 0.5, 2.0, 2.0, 2.0]
    assert backoff.steps == 3


def test_a_pause_is_asked_for_after_a_failure_and_not_before() -> None:
    with pytest.raises(ValueError, match="no pause follows 0 failures"):
        Backoff(1.0).pause_seconds(0)


@pytest.mark.parametrize("pauses", [(), (1.0, -0.1)])
def test_a_schedule_has_pauses(pauses: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a backoff needs pauses of 0 s or more"):
        Backoff(*pauses)


@given(st.floats(0.001, 10.0), st.floats(0.001, 3_600.0))
def test_doubled_pauses_grow_up_to_the_longest_and_stay_there(first: float, longest: float) -> None:
    backoff = Backoff.doubling(first, longest)
    pauses = [backoff.pause_seconds(failures) for failures in range(1, backoff.steps + 3)]

    assert pauses[0] == first
    assert pauses[-1] == max(first, longest)
    assert all(after == min(2 * before, longest) for before, after in pairwise(pauses[: backoff.steps]))
