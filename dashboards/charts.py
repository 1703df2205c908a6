"""The charts. Times are drawn as the store's wall clock shows them, whatever zone the browser is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from dashboards.series import Point

PRIMARY: Final = "#6366f1"
QUIET: Final = "#9ca3af"
LAND: Final = "#8a93a6"
_WORLD: Final = "app/static/world.json"
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORMATS: Final = {"hour": "%H:%M", "day": "%-d %b", "month": "%b %Y"}
_LINE_HEIGHT: Final = 300
_AGO: Final = "datum.value == 0 ? 'now' : '-' + datum.value + ' min'"

Chart = alt.Chart | alt.LayerChart


def trend(points: Sequence[Point], metric: str, grain: str, compare: bool, days: int) -> Chart:
    """A line over time, with the previous period behind it and what is not complete yet dotted.

    Args:
        points: One per bucket, oldest first.
        metric: What the numbers are, for the tooltip.
        grain: Of the buckets.
        compare: Whether the previous period is drawn.
        days: The range's length.
    """
    rows = [
        {
            "at": point.wall.isoformat() + "Z",
            "label": point.label,
            "now": point.now,
            "before": point.before,
            "beforeLabel": point.before_label,
            "state": "provisional" if point.provisional else "complete",
        }
        for point in points
    ]
    # The line to the first provisional point is drawn with the dots, so that nothing is missing between the two.
    settled = sum(not point.provisional for point in points)
    form = "%-d %b %H:%M" if grain == "hour" and days > 2 else _FORMATS[grain]
    x = alt.X(
        "at:T", scale=alt.Scale(type="utc"), title=None,
        axis=alt.Axis(format=form, grid=False, labelOverlap=True, tickCount=min(len(rows), 10)),
    )  # fmt: skip
    y = alt.Y("now:Q", title=None, axis=alt.Axis(tickCount=4, format="~s", domain=False, ticks=False))
    tooltip = [
        alt.Tooltip("label:N", title="When"),
        alt.Tooltip("now:Q", title=metric, format=","),
        alt.Tooltip("state:N", title="Numbers"),
    ]
    if compare:
        tooltip += [
            alt.Tooltip("beforeLabel:N", title="Before"),
            alt.Tooltip("before:Q", title=f"{metric} then", format=","),
        ]
    base = alt.Chart(_data(rows))
    solid = alt.Chart(_data(rows[:settled]))
    dotted = alt.Chart(_data(rows[max(0, settled - 1) :]))
    nearest = alt.selection_point(name="near", nearest=True, on="pointerover", fields=["at"], empty=False)
    layers = [
        base.mark_area(color=PRIMARY, opacity=0.10, line=False).encode(x, y),
        solid.mark_line(color=PRIMARY, strokeWidth=2.2).encode(x, y),
        dotted.mark_line(color=PRIMARY, strokeWidth=2.2, strokeDash=[2, 4]).encode(x, y),
    ]
    if compare:
        then = base.mark_line(color=QUIET, strokeWidth=1.5, strokeDash=[6, 3])
        layers.insert(0, then.encode(x, alt.Y("before:Q")))
    if len(rows) <= 3:
        layers.append(base.mark_point(color=PRIMARY, filled=True, size=60).encode(x, y))
    layers += [
        base.mark_rule(color=QUIET).encode(x, opacity=alt.condition(nearest, alt.value(0.6), alt.value(0))),
        base.mark_point(color=PRIMARY, filled=True, size=70).encode(
            x, y, tooltip=tooltip, opacity=alt.condition(nearest, alt.value(1), alt.value(0))
        ).add_params(nearest),
    ]  # fmt: skip
    return _plain(alt.layer(*layers).properties(height=_LINE_HEIGHT))


def heatmap(cells: Mapping[tuple[int, int], int], metric: str) -> Chart:
    """Hours of the day by days of the week; the fuller, the stronger."""
    rows = [
        {
            "day": name,
            "hour": hour,
            "count": cells.get((day, hour), 0),
            "label": f"{name} {hour:02d}:00 to {hour:02d}:59",
        }
        for day, name in enumerate(_DAYS, 1)
        for hour in range(24)
    ]
    axis = alt.Axis(labelAngle=0, values=list(range(0, 24, 3)), domain=False, ticks=False)
    chart = alt.Chart(_data(rows)).mark_rect(color=PRIMARY, cornerRadius=3).encode(
        x=alt.X("hour:O", title=None, axis=axis, scale=alt.Scale(paddingInner=0.08)),
        y=alt.Y("day:O", title=None, sort=list(_DAYS), axis=alt.Axis(domain=False, ticks=False),
                scale=alt.Scale(paddingInner=0.1)),
        opacity=alt.Opacity("count:Q", legend=None, scale=alt.Scale(type="sqrt", range=[0.05, 1])),
        tooltip=[alt.Tooltip("label:N", title="When"), alt.Tooltip("count:Q", title=metric, format=",")],
    )  # fmt: skip
    return _plain(chart.properties(height=240))


def classes(labels: Sequence[str], counts: Sequence[int]) -> Chart:
    """How many there are of each class."""
    total = max(1, sum(counts))
    rows = [
        {"label": label, "count": count, "share": count / total}
        for label, count in zip(labels, counts, strict=True)
    ]  # fmt: skip
    chart = alt.Chart(_data(rows)).mark_bar(color=PRIMARY, cornerRadiusEnd=4).encode(
        x=alt.X("label:N", sort=list(labels), title=None, axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=4, domain=False, ticks=False)),
        tooltip=[
            alt.Tooltip("label:N", title="Class"),
            alt.Tooltip("count:Q", title="Sessions", format=","),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
        ],
    )  # fmt: skip
    return _plain(chart.properties(height=240))


def minutes(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Clicks of each of the last minutes."""
    chart = alt.Chart(_data(rows)).mark_bar(color=PRIMARY, cornerRadiusEnd=3).encode(
        x=alt.X("ago:O", sort="descending", title=None,
                axis=alt.Axis(labelAngle=0, values=[29, 20, 10, 0], labelExpr=_AGO, domain=False, ticks=False)),
        y=alt.Y("clicks:Q", title=None, axis=alt.Axis(tickCount=3, tickMinStep=1, domain=False, ticks=False)),
        tooltip=[
            alt.Tooltip("label:N", title="Minute"),
            alt.Tooltip("clicks:Q", title="Clicks", format=","),
            alt.Tooltip("visitors:Q", title="Visitors", format=","),
        ],
    )  # fmt: skip
    return _plain(chart.properties(height=180))


def world(counts: Sequence[Mapping[str, Any]], metric: str, name: str) -> Chart:
    """Countries of the world; the more, the stronger. A click on one selects it.

    Args:
        counts: ``id`` (ISO 3166), ``name``, ``count`` and ``text`` of each country that has any.
        metric: What is counted.
        name: Of the selection.
    """
    land = alt.UrlData(url=_WORLD, format=alt.TopoDataFormat(feature="countries", type="topojson"))
    picked = alt.selection_point(name=name, fields=["id"], on="click", clear=False)
    shapes = alt.Chart(land).mark_geoshape(
        fill=LAND, fillOpacity=0.22, stroke=LAND, strokeOpacity=0.35, strokeWidth=0.4
    )
    counted = (
        alt.Chart(land)
        .transform_lookup(lookup="id", from_=alt.LookupData(_data(counts), "id", ["name", "count", "text"]))
        .transform_filter("isValid(datum.count)")
        .mark_geoshape(fill=PRIMARY, stroke=LAND, strokeOpacity=0.5, strokeWidth=0.5, cursor="pointer")
        .encode(
            fillOpacity=alt.FillOpacity("count:Q", legend=None, scale=alt.Scale(type="sqrt", range=[0.18, 1])),
            tooltip=[alt.Tooltip("name:N", title="Country"), alt.Tooltip("text:N", title=metric)],
        )
        .add_params(picked)
    )
    return _plain(alt.layer(shapes, counted).project("naturalEarth1").properties(height=420))


def _data(rows: Sequence[Mapping[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _plain(chart: Any) -> Chart:
    return chart.configure_view(strokeWidth=0).configure_axis(gridOpacity=0.35, labelFontSize=11)  # type: ignore[no-any-return]
