"""Buckets on a store's own clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from marketplace.rollups import hour_start, local_day


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2025-03-12T03:59:59.999+00:00", "America/New_York", "2025-03-11"),
        ("2025-03-12T04:00:00+00:00", "America/New_York", "2025-03-12"),
        ("2025-03-12T18:14:59+00:00", "Asia/Kathmandu", "2025-03-12"),
        ("2025-03-12T18:15:00+00:00", "Asia/Kathmandu", "2025-03-13"),
        ("2025-03-12T23:59:59+00:00", "UTC", "2025-03-12"),
    ],
)
def test_a_day_is_the_stores_own_written_as_if_it_were_utc(moment: str, zone: str, day: str) -> None:
    assert local_day(ms(moment), ZoneInfo(zone)) == datetime.fromisoformat(day).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quarter", "zone", "start"),
    [
        ("2025-03-12T10:45+00:00", "America/New_York", "2025-03-12T10:00+00:00"),
        ("2025-03-12T10:00+00:00", "Asia/Kathmandu", "2025-03-12T09:15+00:00"),
        ("2025-03-12T10:15+00:00", "Asia/Kathmandu", "2025-03-12T10:15+00:00"),
    ],
)
def test_an_hour_begins_where_the_stores_own_clock_says(quarter: str, zone: str, start: str) -> None:
    assert hour_start(datetime.fromisoformat(quarter), ZoneInfo(zone)) == datetime.fromisoformat(start)
