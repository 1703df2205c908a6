"""Vega-Lite specifications of the charts, without data; each variant is built once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import altair as alt

PRIMARY: Final = "#6366f1"
QUIET: Final = "#9ca3af"
LAND: Final = "#8a93a6"
WEEK: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_WORLD: Final = "app/static/world.json"
_FORMATS: Final = {"hour": "%H:%M", "day": "%-d %b", "month": "%b %Y"}
_LINE_HEIGHT: Final = 300
_LINE_WIDTH: Final = 2.2
_AGO: Final = "datum.value == 0 ? 'now' : '-' + datum.value + ' min'"

Spec = dict[str, Any]

ROWS: Final = "rows"
"""The name of the data set in every specification."""

_ROWS: Final = alt.NamedData(ROWS)

# Of zeros alone Vega makes an axis from 0 to 0, and writes NaN at it.
_FROM_ZERO: Final = alt.Scale(domain=alt.DomainUnionWith(unionWith=[0, 1]))


@cache
def trend(metric: str, grain: str, compare: bool, dates: bool, few: bool) -> Spec:
    """A line over time.

    Args:
        metric: What is counted.
        grain: Of the buckets.
        compare: Whether the previous period is drawn behind it.
        dates: Whether labels of hours include the date.
        few: There are so few points that each is marked.
    """
    x = alt.X(
        "at:T", scale=alt.Scale(type="utc"), title=None,
        axis=alt.Axis(
            format="%-d %b %H:%M" if dates else _FORMATS[grain], grid=False,
            # On a narrow screen every other label goes, so that what is left stays even.
            labelOverlap="parity", labelSeparation=12,
        ),
    )  # fmt: skip
    base = alt.Chart(_ROWS).encode(x)
    layers = [
        base.mark_area(color=PRIMARY, opacity=0.10, line=False).encode(_y("now")),
        base.mark_line(color=PRIMARY, strokeWidth=_LINE_WIDTH).encode(_y("settled")),
        base.mark_line(color=PRIMARY, strokeWidth=_LINE_WIDTH, strokeDash=[2, 4]).encode(_y("growing")),
    ]
    if compare:
        layers.insert(0, base.mark_line(color=QUIET, strokeWidth=1.5, strokeDash=[6, 3]).encode(_y("before")))
    if few:
        layers.append(base.mark_point(color=PRIMARY, filled=True, size=60).encode(_y("now")))
    return _spec(alt.layer(*layers, *_pointed_at(base, metric, compare)).properties(height=_LINE_HEIGHT))


def _y(name: str) -> alt.Y:
    return alt.Y(
        f"{name}:Q",
        title=None,
        scale=_FROM_ZERO,
        axis=alt.Axis(tickCount=4, tickMinStep=1, format="~s", domain=False, ticks=False),
    )


def _pointed_at(base: alt.Chart, metric: str, compare: bool) -> list[alt.Chart]:
    """Layers that mark the bucket nearest to the pointer and show its tooltip."""
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
    near = alt.selection_point(name="near", nearest=True, on="pointerover", fields=["at"], empty=False)
    rule = base.mark_rule(color=QUIET).encode(opacity=alt.condition(near, alt.value(0.6), alt.value(0)))
    point = base.mark_point(color=PRIMARY, filled=True, size=70).encode(
        _y("now"), tooltip=tooltip, opacity=alt.condition(near, alt.value(1), alt.value(0))
    )
    return [rule, point.add_params(near)]


def with_ticks(spec: Spec, ticks: Sequence[datetime]) -> Spec:
    """The specification of a trend with ticks at these times of the store's clock."""
    values = [
        {"year": at.year, "month": at.month, "date": at.day, "hours": at.hour, "minutes": at.minute, "utc": True}
        for at in ticks
    ]
    layers = []
    for layer in spec["layer"]:
        x = layer["encoding"]["x"]
        x = {**x, "axis": {**x["axis"], "values": values}}
        layers.append({**layer, "encoding": {**layer["encoding"], "x": x}})
    return {**spec, "layer": layers}


@cache
def heatmap(metric: str) -> Spec:
    """Hours of the day by days of the week."""
    axis = alt.Axis(labelAngle=0, values=list(range(0, 24, 3)), domain=False, ticks=False)
    chart = alt.Chart(_ROWS).mark_rect(color=PRIMARY, cornerRadius=3).encode(
        x=alt.X("hour:O", title=None, axis=axis, scale=alt.Scale(paddingInner=0.08)),
        y=alt.Y("day:O", title=None, sort=list(WEEK), axis=alt.Axis(domain=False, ticks=False),
                scale=alt.Scale(paddingInner=0.1)),
        opacity=alt.Opacity("count:Q", legend=None, scale=alt.Scale(type="sqrt", range=[0.05, 1])),
        tooltip=[alt.Tooltip("label:N", title="When"), alt.Tooltip("count:Q", title=metric, format=",")],
    )  # fmt: skip
    return _spec(chart.properties(height=240))


@cache
def classes(labels: tuple[str, ...]) -> Spec:
    """Bars of classes, in their own order."""
    chart = alt.Chart(_ROWS).mark_bar(color=PRIMARY, cornerRadiusEnd=4).encode(
        x=alt.X("label:N", sort=list(labels), title=None, axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("share:Q", title=None, axis=alt.Axis(format="%", tickCount=4, domain=False, ticks=False)),
        tooltip=[
            alt.Tooltip("label:N", title="Class"),
            alt.Tooltip("count:Q", title="Visits", format=","),
            alt.Tooltip("share:Q", title="Share", format=".1%"),
        ],
    )  # fmt: skip
    return _spec(chart.properties(height=240))


@cache
def minutes() -> Spec:
    """Bars of minutes, the present at the right."""
    chart = alt.Chart(_ROWS).mark_bar(color=PRIMARY, cornerRadiusEnd=3).encode(
        x=alt.X("ago:O", sort="descending", title=None,
                axis=alt.Axis(labelAngle=0, values=[29, 20, 10, 0], labelExpr=_AGO, domain=False, ticks=False)),
        y=alt.Y("events:Q", title=None, scale=_FROM_ZERO,
                axis=alt.Axis(tickCount=3, tickMinStep=1, format="~s", domain=False, ticks=False)),
        tooltip=[
            alt.Tooltip("label:N", title="Minute"),
            alt.Tooltip("views:Q", title="Page views", format=","),
            alt.Tooltip("actions:Q", title="Actions", format=","),
            alt.Tooltip("visitors:Q", title="Visitors", format=","),
        ],
    )  # fmt: skip
    return _spec(chart.properties(height=180))


@cache
def world(metric: str, selection: str) -> Spec:
    """Countries; those of the rows are coloured, and can be clicked."""
    land = alt.UrlData(url=_WORLD, format=alt.TopoDataFormat(feature="countries", type="topojson"))
    picked = alt.selection_point(name=selection, fields=["id"], on="click", clear=False)
    shapes = alt.Chart(land).mark_geoshape(
        fill=LAND, fillOpacity=0.22, stroke=LAND, strokeOpacity=0.35, strokeWidth=0.4
    )
    counted = (
        alt.Chart(_ROWS)
        .transform_lookup(lookup="id", from_=alt.LookupData(land, "id", ["type", "geometry"]))
        .transform_filter("isValid(datum.geometry)")
        .mark_geoshape(fill=PRIMARY, stroke=LAND, strokeOpacity=0.5, strokeWidth=0.5, cursor="pointer")
        .encode(
            fillOpacity=alt.FillOpacity("count:Q", legend=None, scale=alt.Scale(type="sqrt", range=[0.18, 1])),
            tooltip=[alt.Tooltip("name:N", title="Country"), alt.Tooltip("text:N", title=metric)],
        )
        .add_params(picked)
    )
    return _spec(alt.layer(shapes, counted).project("naturalEarth1").properties(height=420))


def _spec(chart: alt.Chart | alt.LayerChart | alt.FacetChart) -> Spec:
    plain: alt.Chart | alt.LayerChart | alt.FacetChart = chart.configure_view(strokeWidth=0).configure_axis(
        gridOpacity=0.35, labelFontSize=11
    )
    return plain.to_dict()
