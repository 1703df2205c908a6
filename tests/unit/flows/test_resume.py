"""Where reading begins: right after what the tables hold, or not at all."""

from __future__ import annotations

import pytest

from connectors.errors import Refused
from flows.delivery.resume import resume_offset
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
    with pytest.raises(Refused, match=rf"{15 - first} records \(offsets {first} to 14\).*accept-loss"):
        resume_offset(CLICKS_FLOW, "log[3]", tables, 15, 30)
