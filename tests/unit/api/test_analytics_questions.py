"""What may be asked of a store's numbers, and in which form they come."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.analytics.questions import Asked, scope_of
from api.analytics.routes import Grain, wants_csv
from api.analytics.tables import as_csv
from api.web.problems import Problem
from marketplace.entitlements import ENTITLEMENTS, Tier, earliest_day
from marketplace.rollups import GRAINS

NOW = datetime(2026, 11, 29, 23, 30, tzinfo=UTC)


def scope(tier: Tier = Tier.FREE, zone: str = "UTC", **asked: Any) -> Any:
    return scope_of(Asked(**asked), "shop", zone, tier, NOW)


def refused(**asked: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        scope(**asked)
    return caught.value


def test_the_grains_are_those_of_the_rollups() -> None:
    assert get_args(Grain) == GRAINS


@pytest.mark.parametrize(("zone", "day"), [("UTC", "2026-08-31"), ("Asia/Kathmandu", "2026-09-01")])
def test_without_a_beginning_the_range_begins_where_the_plan_does_in_the_stores_own_days(zone: str, day: str) -> None:
    found = scope(zone=zone)
    assert found.since.isoformat().startswith(f"{day}T00:00:00")
    assert found.until is None
    assert found.whole_days()


@pytest.mark.parametrize("tier", list(Tier))
def test_a_plan_reaches_back_as_many_days_as_it_says(tier: Tier) -> None:
    first = scope(tier).since
    assert (NOW.date() - first.date()).days == ENTITLEMENTS[tier].history_days
    assert scope(tier, since=first.isoformat()).since == first
    for name in ("since", "until"):
        assert refused(tier=tier, **{name: "2020-01-01"}).type.name == "limit"
    assert refused(tier=tier, since=f"{first.year - 1}-01-01", until="2026-11-01").type.name == "limit"


@pytest.mark.parametrize(
    "text", ["2026-11-02", "2026-11-02T10:15", "2026-11-02T10:15:00+05:45", "2026-11-02T10:15:00Z"]
)
def test_a_time_without_a_zone_is_one_of_the_stores(text: str) -> None:
    given_moment = datetime.fromisoformat(text)
    found = scope(zone="Asia/Kathmandu", since=text).since
    assert found == given_moment if given_moment.tzinfo else found.replace(tzinfo=None) == given_moment


@pytest.mark.parametrize(
    "text",
    [
        "now",
        "2026-13-01",
        "0001-01-01",
        "9999-12-31T23:59:59-23:00",
        "2026-11-02T25:00",
        "1e9",
        "\x00",
    ],
)
@pytest.mark.parametrize("name", ["since", "until"])
def test_what_is_no_time_is_named(name: str, text: str) -> None:
    problem = refused(**{name: text})
    assert (problem.type.name, problem.errors[0].path) == ("invalid", f"query:{'from' if name == 'since' else 'to'}")


@pytest.mark.parametrize("until", ["2026-11-02", "2026-11-01"])
def test_an_empty_range_is_no_range(until: str) -> None:
    assert refused(since="2026-11-02", until=until).errors[0].path == "query:to"


@pytest.mark.parametrize("filters", [("country",), ("all:",), ("nothing:x",), ("country:CH", "country:DE"), ("",)])
def test_what_is_no_filter_is_named(filters: tuple[str, ...]) -> None:
    assert refused(filters=filters).errors[0].path == "query:filter"


def test_the_order_of_filters_is_no_part_of_the_question() -> None:
    one, other = (scope(filters=each) for each in (("country:CH", "page:/a:b"), ("page:/a:b", "country:CH")))
    assert one == other
    assert dict(one.filters) == {"country": "CH", "page": "/a:b"}


def test_a_day_on_which_the_clock_changes_begins_at_its_midnight() -> None:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("America/New_York")
    first = earliest_day(Tier.FREE, zone, datetime(2027, 1, 30, 12, tzinfo=UTC))
    assert first.isoformat() == "2026-11-01T00:00:00-04:00"


@pytest.mark.parametrize(
    ("accept", "csv_first"),
    [
        ([], False),
        (["*/*"], False),
        (["application/json"], False),
        (["text/csv"], True),
        (["TEXT/CSV; charset=utf-8"], True),
        (["text/*"], True),
        (["text/csv;q=0.5, application/json"], False),
        (["text/csv", "application/json;q=0.9"], True),
        (["application/json;q=0, */*"], True),
        (["text/html, application/xhtml+xml, */*;q=0.8"], False),
        (["text/csv;q=nonsense, application/json;q=0.1"], False),
    ],
)
def test_the_form_is_the_one_that_is_preferred(accept: list[str], csv_first: bool) -> None:
    assert wants_csv(accept) is csv_first


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*;q=0", "text/csv;q=0", ""])
def test_another_form_is_not_there(accept: str) -> None:
    with pytest.raises(Problem) as caught:
        wants_csv([accept])
    assert caught.value.type.name == "not-acceptable"


VALUES = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.lists(st.tuples(VALUES, st.integers(-5, 5), st.floats(-2, 2)), max_size=5))
def test_a_table_is_read_as_it_was_written_and_no_text_is_a_formula(rows: list[tuple[str, int, float]]) -> None:
    first, *read = list(csv.reader(io.StringIO(as_csv(["a", "b", "c"], rows).decode(), newline="")))
    assert first == ["a", "b", "c"]
    for (text, number, fraction), cells in zip(rows, read, strict=True):
        assert cells[0].removeprefix("'") == text or cells[0] == text
        assert not cells[0].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert (int(cells[1]), float(cells[2])) == (number, fraction)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_in_the_hour_that_comes_twice_moments_are_compared_and_no_times_of_day(zone: str) -> None:
    """Clocks of Berlin went from 03:00 back to 02:00 at 01:00 UTC."""
    asked = {"since": "2025-10-26T00:45:00+00:00", "until": "2025-10-26T01:15:00+00:00"}
    began, ended = scope(Tier.PREMIUM, zone, **asked).bounds()
    assert (began.isoformat(), ended.isoformat()) == (asked["since"], asked["until"])
    with pytest.raises(Problem) as caught:
        scope(Tier.PREMIUM, zone, since=asked["until"], until=asked["since"])
    assert caught.value.errors[0].path == "query:to"
