"""Until when the numbers are complete, by a small log in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from connectors.errors import Unavailable
from connectors.insights.freshness import Completeness, Freshness

NOW = datetime(2025, 3, 12, 10, tzinfo=UTC)


@dataclass
class MemoryLog:
    """Write times of the records of each partition; the first ``gone`` of them have expired."""

    written: dict[int, list[datetime | None]]
    gone: int = 0
    asked: list[tuple[int, int]] = field(default_factory=list)

    def ends(self) -> dict[int, int]:
        return {partition: len(times) for partition, times in self.written.items()}

    def written_at(self, partition: int, offset: int) -> datetime | None:
        self.asked.append((partition, offset))
        return self.written[partition][max(offset, self.gone)]


def ago(seconds: int) -> datetime:
    return NOW - timedelta(seconds=seconds)


def look(log: MemoryLog, applied: dict[int, int]) -> Completeness:
    return Freshness(log, lambda: applied).look(NOW)


def test_where_nothing_waits_everything_until_now_is_counted_and_no_record_is_read() -> None:
    log = MemoryLog({0: [ago(9), ago(8)], 1: [], 2: [ago(7)]})
    assert look(log, {0: 1, 2: 0}) == Completeness(NOW, 0)
    assert log.asked == []


def test_a_log_that_was_never_written_to_is_complete() -> None:
    assert look(MemoryLog({0: [], 1: []}), {}) == Completeness(NOW, 0)


def test_numbers_are_complete_until_the_first_record_that_is_not_counted_was_written() -> None:
    log = MemoryLog({0: [ago(30), ago(20), ago(10)], 1: [ago(25), ago(5)]})
    assert look(log, {0: 0, 1: 0}) == Completeness(ago(20), 3)


def test_a_partition_of_which_nothing_was_counted_begins_with_its_first_record() -> None:
    assert look(MemoryLog({0: [ago(30), ago(20)]}), {}) == Completeness(ago(30), 2)


def test_where_one_time_is_unknown_there_is_no_until() -> None:
    log = MemoryLog({0: [None], 1: [ago(5)]})
    assert look(log, {}) == Completeness(None, 2)


def test_tables_that_are_ahead_of_the_end_that_was_seen_are_complete() -> None:
    assert look(MemoryLog({0: [ago(5)]}), {0: 7}) == Completeness(NOW, 0)


def test_a_part_that_is_unavailable_is_reported() -> None:
    def applied() -> dict[int, int]:
        raise Unavailable("ClickHouse is away")

    with pytest.raises(Unavailable, match="ClickHouse is away"):
        Freshness(MemoryLog({0: [ago(5)]}), applied).look(NOW)
