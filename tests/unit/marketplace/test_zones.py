"""Zones in words."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from marketplace.stores import InvalidStore, checked_zone
from marketplace.zones import zone_words


def zones() -> list[str]:
    """All zones that a store can have."""
    found = []
    for zone in sorted(available_timezones()):
        try:
            found.append(checked_zone(zone))
        except InvalidStore:
            continue
    return found


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Berlin", "Berlin time"),
        ("America/New_York", "New York time"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires, Argentina time"),
        ("US/Eastern", "US Eastern time"),
        ("Japan", "Japan time"),
        ("UTC", "UTC"),
        ("Etc/UTC", "UTC"),
        ("Etc/GMT+5", "UTC-5"),
        ("Etc/GMT-14", "UTC+14"),
    ],
)
def test_a_zone_is_named_as_people_name_it(zone: str, words: str) -> None:
    assert zone_words(zone) == words


def test_each_zone_that_a_store_can_have_is_named_in_words_and_never_as_a_path() -> None:
    for zone in zones():
        words = zone_words(zone)
        assert words.endswith(" time") or words.startswith("UTC"), zone
        assert not set(words) & set("_/"), zone


def test_zones_with_one_name_have_one_time() -> None:
    called = defaultdict(list)
    for zone in zones():
        called[zone_words(zone)].append(ZoneInfo(zone))
    for moment in (datetime(2026, 1, 15, 12, tzinfo=UTC) + timedelta(days=days) for days in range(0, 365, 61)):
        for words, same in called.items():
            assert len({moment.astimezone(zone).utcoffset() for zone in same}) == 1, words
