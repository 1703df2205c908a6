from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import pyarrow as pa

from dashboards.data.series import Point
from dashboards.ui import charts


def points(count: int, provisional: int, before: int | None) -> list[Point]:
    """Days, the last ones provisional."""
    first = datetime(2026, 5, 1)  # noqa: DTZ001  # on the store's clock
    return [
        Point(first + timedelta(days=day), f"{day + 1} May", day, before, "", day >= count - provisional)
        for day in range(count)
    ]


def test_a_trend_has_numbers_in_its_columns_even_where_all_of_them_are_missing() -> None:
    for provisional, before in ((5, None), (0, None), (2, 7)):
        rows = charts.trend(points(5, provisional, before), "Clicks", "day", before is not None, 5).rows
        assert {rows[name].type for name in ("now", "settled", "growing", "before")} == {pa.int64()}


def test_the_settled_and_the_growing_part_of_a_line_meet_in_one_point() -> None:
    rows = charts.trend(points(5, 2, None), "Clicks", "day", False, 5).rows.to_pylist()
    assert [row["settled"] for row in rows] == [0, 1, 2, None, None]
    assert [row["growing"] for row in rows] == [None, None, 2, 3, 4]


def ticks(spaced: Sequence[datetime]) -> set[timedelta]:
    """How far they are from each other."""
    return {after - before for before, after in pairwise(spaced)}


def test_the_dates_of_a_trend_are_even_over_the_end_of_a_month() -> None:
    first = datetime(2026, 5, 15)  # noqa: DTZ001  # on the store's clock
    days = [Point(first + timedelta(days=day), "", 1) for day in range(28)]
    chart = charts.trend(days, "Visits", "day", compare=False, days=28)
    assert ticks(chart.ticks) == {timedelta(days=3)}
    for layer in chart.filled()["layer"]:
        values = layer["encoding"]["x"]["axis"]["values"]
        assert [(value["month"], value["date"]) for value in values] == [(at.month, at.day) for at in chart.ticks]


def test_hours_are_marked_at_midnight_on_the_day_that_clocks_change_too() -> None:
    midnight = datetime(2026, 3, 28)  # noqa: DTZ001  # on the store's clock
    walls = [midnight + timedelta(hours=hour) for hour in range(96)]
    hours = [Point(wall, "", 1) for wall in walls if (wall.day, wall.hour) != (29, 2)]
    marked = charts.trend(hours, "Visits", "hour", compare=False, days=4).ticks
    assert {wall.hour for wall in marked} == {0, 12}
    assert ticks(marked) == {timedelta(hours=12)}


def test_no_axis_of_counts_runs_from_zero_to_zero() -> None:
    assert charts.minutes([]).spec["encoding"]["y"]["scale"] == {"domain": {"unionWith": [0, 1]}}
    for layer in charts.trend(points(3, 0, 1), "Visitors", "day", compare=True, days=3).spec["layer"]:
        if "y" in layer["encoding"]:
            assert layer["encoding"]["y"]["scale"] == {"domain": {"unionWith": [0, 1]}}


def test_a_map_of_nothing_knows_its_columns() -> None:
    assert charts.world([], "Visitors", "country").rows.column_names == ["id", "name", "count", "text"]


def test_a_form_is_made_once_and_is_not_changed_by_what_it_is_filled_with() -> None:
    one, other = (charts.trend(points(days, 1, 3), "Clicks", "day", True, days) for days in (28, 30))
    assert one.spec is other.spec
    form = copy.deepcopy(one.spec)
    assert one.filled()["datasets"] == {"rows": one.rows}
    assert one.spec == form
