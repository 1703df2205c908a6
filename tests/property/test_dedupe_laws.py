"""What repeats what: one rule, whether a batch is decided or its facts are read back."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from flows.clicks.model.columns import Columns
from flows.clicks.state.click_page import HOUR_MS
from flows.clicks.state.stored_rows import StoredFacts
from flows.clicks.steps.dedupe import filed_under, find_copies, find_duplicates
from tests.kits.clicks import event, ms, read_values

NOON = ms("2025-03-12T12:00:00")

received = st.builds(
    lambda hour, minute: NOON + hour * HOUR_MS + minute * 60_000, st.integers(0, 3), st.integers(0, 59)
)
arrivals = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), received), min_size=1, max_size=12)


def arrived(event_id: str, tells_time: bool, received_at_ms: int) -> dict[str, Any]:
    return event(NOON if tells_time else None, event_id=event_id, received_at_ms=received_at_ms)


def facts_of(columns: Columns, hours: np.ndarray[Any, np.dtype[np.int64]]) -> StoredFacts:
    """What the tables hold of accepted events, as far as copies are found by it."""
    nothing = np.zeros(len(columns), dtype=np.int64)
    return StoredFacts(
        offset=columns.offsets,
        key=columns.key,
        dedupe_hour=hours,
        visitor=columns.visitor,
        pair=columns.key,
        received_ms=columns.received_ms,
        occurred_ms=columns.occurred_ms,
        is_bot=nothing.astype(np.uint8),
        is_view=nothing == 0,
        store=[],
        origin=[],
        outcome=[],
        time_note=[],
        columns={},
    )


@given(arrivals)
@example([("a", False, NOON), ("a", False, NOON + HOUR_MS)])
@example([("a", False, NOON), ("a", False, NOON + 2 * HOUR_MS)])
@example([("a", False, NOON + HOUR_MS), ("a", False, NOON)])
def test_copies_of_facts_that_are_read_back_are_the_duplicates_that_were_decided(
    log: list[tuple[str, bool, int]],
) -> None:
    columns, rejects = read_values([arrived(*one) for one in log])
    assert not rejects
    hours, no_time = filed_under(columns), columns.occurred_ms < 0
    duplicates = find_duplicates(columns.key, hours, no_time, np.zeros(len(columns), dtype=np.bool_))
    copies = find_copies(columns, hours, facts_of(columns.take(~duplicates), hours[~duplicates]))
    assert copies.tolist() == duplicates.tolist()


@given(arrivals)
def test_an_event_without_a_time_repeats_one_of_its_hour_or_of_the_hour_before_and_no_other(
    log: list[tuple[str, bool, int]],
) -> None:
    columns, _ = read_values([arrived(*one) for one in log])
    hours, no_time = filed_under(columns), columns.occurred_ms < 0
    duplicates = find_duplicates(columns.key, hours, no_time, np.zeros(len(columns), dtype=np.bool_))
    accepted: list[tuple[int, int]] = []
    expected = []
    for key, hour, silent in zip(columns.key.tolist(), hours.tolist(), no_time.tolist(), strict=True):
        repeats = (key, hour) in accepted or (silent and (key, hour - 1) in accepted)
        expected.append(repeats)
        if not repeats:
            accepted.append((key, hour))
    assert duplicates.tolist() == expected


def test_an_event_with_a_time_of_its_own_repeats_none_of_the_hour_before_it() -> None:
    for own_ms in (0, NOON):
        columns, _ = read_values([event(own_ms, received_at_ms=own_ms), event(own_ms, received_at_ms=own_ms)])
        hours = filed_under(columns)
        first = np.array([True, False])
        before = facts_of(columns.take(first), hours[first] - 1)

        assert find_copies(columns, hours, before).tolist() == [False, False]
