"""Ranges of commands: moments are compared and no times of day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.insights import InvalidQuery
from ops.commands.moments import check_range

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
QUARTERS = st.integers(0, 4 * 24 * 365)
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)


@given(first=QUARTERS, length=st.integers(-8, 8), zone=st.sampled_from(ZONES), written=st.sampled_from(ZONES))
def test_a_range_is_empty_where_it_ends_before_or_when_it_begins_also_where_an_hour_comes_twice(
    first: int, length: int, zone: str, written: str
) -> None:
    begins = BEGIN + timedelta(minutes=15 * first)
    ends = (begins + timedelta(minutes=15 * length)).astimezone(ZoneInfo(written))
    if length > 0:
        check_range(begins.astimezone(ZoneInfo(zone)), ends, "UTC", "--to")
    else:
        with pytest.raises(InvalidQuery, match="the range is empty"):
            check_range(begins.astimezone(ZoneInfo(zone)), ends, "UTC", "--to")


def test_a_moment_without_a_zone_is_one_of_the_stores() -> None:
    noon = datetime.fromisoformat("2025-06-01T12:00")
    check_range(noon, datetime(2025, 6, 1, 10, 30, tzinfo=UTC), "Europe/Berlin", "--to")
    with pytest.raises(InvalidQuery, match="--until is the first moment after it"):
        check_range(noon, datetime(2025, 6, 1, 9, 30, tzinfo=UTC), "Europe/Berlin", "--until")
