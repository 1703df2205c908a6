"""A batch of records of one partition."""

from __future__ import annotations

from flows.clicks.processor import without
from flows.delivery.batch import RawBatch

BATCH = RawBatch(3, [5, 7, 9], [50, 70, 90], [b"five", b"seven", b"nine"], [[("a", b"b")]] * 3, topic="log")


def test_a_batch_without_some_offsets_is_the_rest_of_it_without_headers() -> None:
    assert without(BATCH, {7, 8}) == RawBatch(3, [5, 9], [50, 90], [b"five", b"nine"], topic="log")


def test_a_batch_ends_where_its_first_and_last_records_are() -> None:
    assert (BATCH.first_offset, BATCH.last_offset) == (5, 9)
