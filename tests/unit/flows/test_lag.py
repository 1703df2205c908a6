"""How far a flow's tables are behind its topics."""

from __future__ import annotations

import pytest

from flows.delivery.lag import Lag, lag, total_unread
from marketplace.flows import CLICKS_FLOW, DEAD_LETTERS_FLOW
from marketplace.topics import CLICKS_DEAD, IMPORTS_DEAD

TOPIC, CHECKPOINT = CLICKS_FLOW.reads[0].name, CLICKS_FLOW.checkpoint.name


@pytest.mark.parametrize(
    ("fence", "low", "high", "expected"),
    [
        pytest.param(6, 0, 10, Lag(unread=3, unreachable=0), id="some are unread"),
        pytest.param(9, 0, 10, Lag(unread=0, unreachable=0), id="all are read"),
        pytest.param(3, 6, 10, Lag(unread=4, unreachable=2), id="some were deleted unread"),
        pytest.param(9, 10, 10, Lag(unread=0, unreachable=0), id="all were deleted after they were read"),
        pytest.param(12, 0, 10, Lag(unread=0, unreachable=0), id="the tables are ahead of an older range"),
        pytest.param(None, 4, 10, Lag(unread=6, unreachable=0), id="nothing was ever read"),
    ],
)
def test_the_lag_of_a_partition_counts_from_the_fence_of_the_checkpoint(
    fence: int | None, low: int, high: int, expected: Lag
) -> None:
    fences = {} if fence is None else {TOPIC: {0: {CHECKPOINT: fence}}}
    assert lag(CLICKS_FLOW, fences, {TOPIC: {0: (low, high)}}) == {TOPIC: {0: expected}}


def test_tables_that_are_written_before_the_checkpoint_do_not_count() -> None:
    fences = {TOPIC: {0: {"clicks": 9, CHECKPOINT: 4}}}
    assert lag(CLICKS_FLOW, fences, {TOPIC: {0: (0, 10)}})[TOPIC][0].unread == 5


def test_the_topics_of_a_flow_have_lags_of_their_own() -> None:
    fences = {CLICKS_DEAD.name: {0: {DEAD_LETTERS_FLOW.checkpoint.name: 9}}}
    found = lag(DEAD_LETTERS_FLOW, fences, {CLICKS_DEAD.name: {0: (0, 10)}, IMPORTS_DEAD.name: {0: (0, 7)}})
    assert (found[CLICKS_DEAD.name][0].unread, found[IMPORTS_DEAD.name][0].unread, total_unread(found)) == (0, 7, 7)
