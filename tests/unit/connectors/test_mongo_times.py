from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from connectors.mongo.times import milliseconds

NOON = datetime(2026, 11, 29, 12, 0, 0, 123_456, UTC)


@pytest.mark.parametrize(
    "moment", [NOON, NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))]
)
def test_a_moment_is_a_number_of_milliseconds_and_one_of_mongo_is_in_utc(moment: datetime) -> None:
    assert milliseconds(moment) == 1_795_953_600_123
