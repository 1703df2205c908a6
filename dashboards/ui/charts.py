"""The charts. Times are drawn on the store's wall clock, whatever zone the browser is in.

Specifications are built once and cached (``chart_specs``: validating one takes longer than querying the numbers), and
the rows are passed beside them. A browser that has drawn a specification replaces only the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from dashboards.data.series import Point
from dashboards.ui import chart_specs as specs

Row = Mapping[str, Any]

_FEW: Final = 3
_DENSE: Final = 2
_TICKS: Final = 10
_STEPS: Final = {"hour": (1, 2, 3, 6, 12, 24), "day": (1, 2, 3, 7, 14), "month": (1, 2, 3, 6, 12)}


@dataclass(frozen=True)
class Chart:
    """A specification and its data.

    Attributes:
        spec: The Vega-Lite specification; shared, do not modify it.
        rows: The data.
        ticks: Of its time axis, on the store's clock; empty where it has none.
    """

    spec: specs.Spec
    rows: pa.Table
    ticks: tuple[datetime, ...] = ()

    def filled(self) -> specs.Spec:
        """The specification with the data in it."""
        spec = specs.with_ticks(self.spec, self.ticks) if self.ticks else self.spec
        return {**spec, "datasets": {specs.ROWS: self.rows}}


def trend(points: Sequence[Point], metric: str, grain: str, compare: bool, days: int) -> Chart:
    """A line over time, with the previous period behind it and what is not complete yet dotted.

    Args:
        points: One per bucket, oldest first.
        metric: What the numbers are, for the tooltip.
        grain: Of the buckets.
        compare: Whether the previous period is drawn.
        days: The range's length.
    """
    settled = sum(not point.provisional for point in points)
    dates, few = grain == "hour" and days > _DENSE, len(points) <= _FEW
    chart = _chart(
        specs.trend(metric, grain, compare, dates, few),
        [
            {
                "at": point.wall.isoformat() + "Z",
                "label": point.label,
                "now": point.now,
                "settled": point.now if at < settled else None,
                # The line to the first provisional point is dotted too, so that nothing is missing between the two.
                "growing": point.now if at >= settled - 1 else None,
                "before": point.before,
                "beforeLabel": point.before_label,
                "state": "provisional" if point.provisional else "complete",
            }
            for at, point in enumerate(points)
        ],
        {"settled": pa.int64(), "growing": pa.int64(), "before": pa.int64()},
    )
    return replace(chart, ticks=_ticks(points, grain))


def _ticks(points: Sequence[Point], grain: str) -> tuple[datetime, ...]:
    """The beginnings of every so many buckets, on the store's clock; at most some ten of them.

    Chosen here, because Vega begins to count at each month: of every third day it would have the 31st and the 1st.
    """
    steps = _STEPS[grain]
    step = next((step for step in steps if len(points) <= step * _TICKS), steps[-1])
    # Hours are chosen by the clock: on the day that it changes, the next midnight is not 24 buckets further.
    at_hour = [point for point in points if not (point.wall.hour % step or point.wall.minute)]
    chosen = at_hour if grain == "hour" and at_hour else points[::step]
    return tuple(point.wall for point in chosen)


def heatmap(cells: Mapping[tuple[int, int], int], metric: str) -> Chart:
    """Hours of the day by days of the week; a higher count has a stronger colour."""
    rows = [
        {
            "day": name,
            "hour": hour,
            "count": cells.get((day, hour), 0),
            "label": f"{name} {hour:02d}:00 to {hour:02d}:59",
        }
        for day, name in enumerate(specs.WEEK, 1)
        for hour in range(24)
    ]
    return _chart(specs.heatmap(metric), rows)


def classes(labels: Sequence[str], counts: Sequence[int]) -> Chart:
    """A histogram: the count of each class."""
    total = max(1, sum(counts))
    rows = [
        {"label": label, "count": count, "share": count / total}
        for label, count in zip(labels, counts, strict=True)
    ]  # fmt: skip
    return _chart(specs.classes(tuple(labels)), rows)


def minutes(rows: Sequence[Row]) -> Chart:
    """Page views and actions of each of the last minutes."""
    return _chart(specs.minutes(), rows)


def world(counts: Sequence[Row], metric: str, name: str) -> Chart:
    """A world map; a higher count has a stronger colour. A click on a country selects it.

    Args:
        counts: ``id`` (ISO 3166), ``name``, ``count`` and ``text`` of each country that has any.
        metric: What is counted.
        name: Of the selection.
    """
    columns = {"id": pa.string(), "name": pa.string(), "count": pa.int64(), "text": pa.string()}
    return _chart(specs.world(metric, name), counts, columns)


def _chart(spec: specs.Spec, rows: Sequence[Row], columns: Mapping[str, pa.DataType] | None = None) -> Chart:
    """A chart whose nullable columns have explicit types: of empty ones no type can be inferred."""
    table = pa.Table.from_pylist([dict(row) for row in rows])
    for name, kind in (columns or {}).items():
        if name not in table.column_names:
            table = table.append_column(name, pa.array([], kind))
        elif table[name].type != kind:
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    return Chart(spec, table)
