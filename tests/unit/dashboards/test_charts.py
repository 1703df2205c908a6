from __future__ import annotations

import copy
from datetime import datetime, timedelta

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
