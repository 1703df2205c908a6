"""Where reading begins: right after what the tables hold, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from connectors.errors import Refused
from connectors.kafka.reader import PartitionReader
from flows.delivery.resume import resume_offset, verify_log_identity
from marketplace.flows import CLICKS_FLOW

ALL = ("clicks", "rollups", "sessions", "click_ledger")


def fences(offset: int, **others: int) -> dict[str, int]:
    return {**dict.fromkeys(ALL, offset), **others}


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 10), (7, 10), (10, 10)])
def test_a_partition_that_the_tables_know_nothing_of_is_read_from_its_beginning(low: int, high: int) -> None:
    assert resume_offset(CLICKS_FLOW, "log[0]", {}, low, high) == low


@pytest.mark.parametrize(("low", "high"), [(0, 10), (0, 50), (9, 10), (10, 10), (10, 50)])
def test_reading_goes_on_after_the_last_record_of_the_ledger(low: int, high: int) -> None:
    assert resume_offset(CLICKS_FLOW, "log[0]", fences(9), low, high) == 10


def test_tables_that_are_ahead_of_the_ledger_do_not_move_the_beginning() -> None:
    assert resume_offset(CLICKS_FLOW, "log[0]", fences(19, click_ledger=9), 0, 20) == 10


def test_before_the_first_ledger_row_everything_is_still_to_be_done() -> None:
    assert resume_offset(CLICKS_FLOW, "log[0]", {"clicks": 19}, 0, 20) == 0


@pytest.mark.parametrize("tables", [fences(10), fences(5, clicks=10)])
def test_a_log_that_ends_before_the_tables_do_is_another_one(tables: dict[str, int]) -> None:
    with pytest.raises(Refused, match=r"ends before offset 10.*hold records up to 10.*recover\.md"):
        resume_offset(CLICKS_FLOW, "log[3]", tables, 0, 10)


@pytest.mark.parametrize(("tables", "first"), [(fences(9), 10), ({"clicks": 19}, 0)])
def test_records_that_retention_took_uncounted_are_named_and_never_skipped(tables: dict[str, int], first: int) -> None:
    with pytest.raises(Refused, match=rf"log\[3\]: {15 - first} records \(offsets {first} to 14\).*accept-loss"):
        resume_offset(CLICKS_FLOW, "log[3]", tables, 15, 30)


class Log:
    """One partitioned log of one-byte records, of which the broker has some."""

    topic = "log"

    def __init__(self, **ranges: tuple[int, int]) -> None:
        self._ranges, self.asked = {int(name[1:]): between for name, between in ranges.items()}, 0

    def range_of(self, partition: int) -> tuple[int, int]:
        return self._ranges[partition]

    def read_at(self, offsets: Mapping[int, int]) -> dict[int, bytes]:
        self.asked += 1
        return {partition: bytes([offset]) for partition, offset in offsets.items() if offset != 5}


def verify(log: Log, newest: dict[int, int], recreated: tuple[int, ...] = ()) -> dict[int, bytes]:
    """What was compared."""
    compared: dict[int, bytes] = {}

    def differing(records: Mapping[int, bytes]) -> list[int]:
        compared.update(records)
        return [partition for partition in records if partition in recreated]

    verify_log_identity(cast("PartitionReader", log), newest, differing)
    return compared


def test_the_newest_record_of_each_partition_is_compared_where_the_broker_still_has_it() -> None:
    log = Log(p0=(3, 10), p1=(4, 10), p2=(0, 4), p3=(0, 3), p4=(0, 9))

    assert verify(log, {0: 3, 1: 3, 2: 3, 3: 3, 4: 5}) == {0: b"\x03", 2: b"\x03", 4: b""}


def test_where_no_record_is_left_nothing_is_read() -> None:
    log = Log(p0=(4, 10))

    assert verify(log, {0: 3}) == {}
    assert log.asked == 0


def test_another_record_at_the_newest_offset_is_another_log_which_is_named() -> None:
    with pytest.raises(Refused, match=r"log\[1\] has another record at offset 7 .*recreated.*recover\.md"):
        verify(Log(p0=(0, 9), p1=(0, 9)), {0: 3, 1: 7}, recreated=(1,))
