"""What a question may ask, and how its ends are read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.insights import InvalidQuery, Scope
from connectors.insights.scope import check_grain, check_split
from connectors.insights.sources import needs_facts

NEW_YORK = ZoneInfo("America/New_York")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
SCOPE = Scope("alpha", NEW_YORK)
ALMOST_A_DAY = timedelta(hours=23, minutes=59)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": "Alpha"}, "no store can be called 'Alpha'"),
        ({"store": "a' OR 1=1 --"}, "no store can be called"),
        ({"bots": "1 OR 1"}, "no choice '1 OR 1' for bots; there are exclude, include, only"),
        ({"filters": (("colour", "red"),)}, "no dimension 'colour'; there are all, country"),
        ({"filters": (("all", ""),)}, "nothing to filter by"),
        ({"filters": (("page", "/a"), ("page", "/b"))}, "one filter for each dimension"),
    ],
)
def test_a_question_without_an_answer_is_refused_with_the_choices(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidQuery, match=message.replace("(", r"\(")):
        replace(SCOPE, **changes).check()


def test_a_grain_or_split_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(InvalidQuery, match="no grain 'week'; there are hour, day, month"):
        check_grain("week")
    with pytest.raises(InvalidQuery, match="no dimension 'colour'"):
        check_split("colour")


def test_naive_ends_are_read_on_the_stores_clock_and_aware_ones_as_they_are() -> None:
    naive = replace(SCOPE, since=datetime(2025, 3, 9), until=datetime(2025, 3, 10))  # noqa: DTZ001  # the store's clock
    assert naive.bounds() == (datetime(2025, 3, 9, 5, tzinfo=UTC), datetime(2025, 3, 10, 4, tzinfo=UTC))
    aware = replace(SCOPE, since=datetime(2025, 3, 9, 6, tzinfo=timezone(timedelta(hours=1))))
    assert aware.bounds() == (datetime(2025, 3, 9, 5, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("since", "whole"),
    [
        (None, True),
        (datetime(2025, 3, 9), True),  # noqa: DTZ001  # the store's clock
        (datetime(2025, 3, 9, 5, tzinfo=UTC), True),
        (datetime(2025, 3, 9, tzinfo=UTC), False),
        (datetime(2025, 3, 9, 0, 15), False),  # noqa: DTZ001  # the store's clock
    ],
)
def test_stored_days_answer_ranges_that_begin_and_end_at_the_stores_midnight(
    since: datetime | None, whole: bool
) -> None:
    assert replace(SCOPE, since=since).whole_days() is whole


def test_a_day_is_labelled_by_the_stores_own_date() -> None:
    ends = replace(SCOPE, zone=KATHMANDU, since=datetime(2025, 3, 11, 18, 15, tzinfo=UTC))
    assert ends.whole_days()
    assert ends.labels() == (datetime(2025, 3, 12, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("moment", "quarter"),
    [
        (datetime(2025, 3, 9, 5, 0, tzinfo=UTC), datetime(2025, 3, 9, 5, 0, tzinfo=UTC)),
        (datetime(2025, 3, 9, 5, 0, 0, 1_000, tzinfo=UTC), datetime(2025, 3, 9, 5, 15, tzinfo=UTC)),
        (datetime(2025, 3, 9, 5, 14, 59, tzinfo=UTC), datetime(2025, 3, 9, 5, 15, tzinfo=UTC)),
        (datetime(2025, 3, 9, 23, 45, 1, tzinfo=UTC), datetime(2025, 3, 10, tzinfo=UTC)),
    ],
)
def test_an_end_inside_a_quarter_is_moved_to_the_next_one(moment: datetime, quarter: datetime) -> None:
    assert replace(SCOPE, since=moment, until=moment).quarters() == (quarter, quarter)


@pytest.mark.parametrize(
    ("filters", "splits", "facts"),
    [
        ((), ["all", "page"], False),
        ((("page", "/a"),), ["all"], False),
        ((("page", "/a"),), ["page"], False),
        ((("page", "/a"),), ["country"], True),
        ((("page", "/a"), ("country", "NP")), ["all"], True),
        ((("page", ""),), ["all"], False),
        ((("product", ""),), ["all"], True),
        ((("campaign", ""),), ["campaign"], True),
    ],
)
def test_single_clicks_are_read_only_where_stored_numbers_cannot_answer(
    filters: tuple[tuple[str, str], ...], splits: list[str], facts: bool
) -> None:
    assert needs_facts(replace(SCOPE, filters=filters), splits) is facts


@given(
    st.datetimes() | st.datetimes(timezones=st.builds(timezone, st.timedeltas(-ALMOST_A_DAY, ALMOST_A_DAY))),
    st.sampled_from(["UTC", "Pacific/Apia", "America/Anchorage", "Asia/Kathmandu"]),
)
@example(datetime.fromisoformat("9999-12-31T23:59:59-23:59"), "UTC")
@example(datetime.fromisoformat("0001-01-01T00:00+23:59"), "UTC")
@example(datetime.fromisoformat("9999-12-31T23:59:59"), "Pacific/Apia")
def test_any_moment_is_answered_for_or_refused_as_no_time_of_a_report(moment: datetime, zone: str) -> None:
    scope = replace(SCOPE, zone=ZoneInfo(zone), since=moment, until=moment)
    if 1971 <= moment.year <= 2298:
        scope.check()
        assert scope.bounds() <= scope.quarters()
        assert scope.labels()[0] is not None
        assert scope.whole_days() in (True, False)
    else:
        with pytest.raises(InvalidQuery, match=f"the year {moment.year} is no year of a report"):
            scope.check()


def test_two_questions_are_one_where_everything_that_decides_the_answer_is_the_same() -> None:
    one, again = (replace(SCOPE, since=datetime(2025, 11, 2, 1, 30, tzinfo=NEW_YORK)) for _ in range(2))
    assert (one, hash(one)) == (again, hash(again))
    others = [
        # On this day New York has two hours of one name.
        replace(one, since=datetime(2025, 11, 2, 1, 30, fold=1, tzinfo=NEW_YORK)),
        replace(one, since=None, until=datetime(2025, 11, 2, 1, 30, tzinfo=NEW_YORK)),
        replace(one, since=datetime.fromisoformat("2025-11-02T01:30")),
        replace(one, since=datetime.fromisoformat("2025-11-02T01:30").replace(fold=1)),
        # The same moment, which the answer writes in another way.
        replace(one, since=datetime(2025, 11, 2, 5, 30, tzinfo=UTC)),
        replace(one, zone=KATHMANDU),
        replace(one, store="beta"),
        replace(one, bots="only"),
        replace(one, filters=(("page", "/a"),)),
    ]
    assert len({one, *others}) == 1 + len(others)
    assert one != ("alpha", NEW_YORK)
