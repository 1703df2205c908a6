"""Parts that several pages are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import streamlit as st

from connectors.errors import Unavailable
from connectors.insights import Breakdown, Numbers, Row
from dashboards.data import backend
from dashboards.data.periods import grains, previous
from dashboards.data.series import beside, points
from dashboards.data.view import METRICS
from dashboards.ui import charts
from dashboards.ui import formats as words
from dashboards.ui.bars import Bar, show_bars
from dashboards.ui.header import change
from dashboards.ui.shell import Frame, pick

TOP: Final = 9
OF_THE_VISITOR: Final = frozenset({"country", "city", "browser", "os", "device"})
"""Dimensions whose value is the same for all clicks of a session."""
_UNCHANGED: Final = 0.005
Groups = Sequence[tuple[str, Sequence[str], str]]
"""For each card its title, its dimensions, and what they are ordered by."""

GRAINS: Final = {"hour": "Hours", "day": "Days", "month": "Months"}


@dataclass(frozen=True)
class _Tile:
    """A number on top of a page; ``name`` is an attribute of ``Numbers``."""

    label: str
    name: str
    text: Callable[[Numbers], str]
    color: Literal["normal", "inverse"] = "normal"


_TILES: Final = (
    _Tile("Visitors", "visitors", words.visitors),
    _Tile("Sessions", "sessions", lambda numbers: words.count(numbers.sessions)),
    _Tile("Clicks", "clicks", lambda numbers: words.count(numbers.clicks)),
    _Tile("Clicks a session", "clicks_per_session", lambda numbers: _decimal(numbers.clicks_per_session)),
    _Tile("Bounce rate", "bounce_rate", lambda numbers: words.percent(numbers.bounce_rate), "inverse"),
    _Tile("Session length", "session_seconds", lambda numbers: words.duration(numbers.session_seconds)),
)


def begin(frame: Frame, groups: Groups = ()) -> None:
    """Ask for all that a page needs at once; its parts then wait only for the slowest answer.

    Args:
        frame: The frame.
        groups: The cards of :func:`top_lists`, if the page has any.
    """
    for scope in (frame.scope, frame.before) if frame.compares else (frame.scope,):
        backend.course.begin(scope, grain(frame))
    backend.completeness.begin()
    backend.live_visitors.begin(frame.store.slug)
    if groups:
        backend.breakdowns.begin(frame.scope, _orders(groups), TOP)


def key_numbers(frame: Frame) -> Numbers:
    """The row of the most important numbers; gives the totals."""
    now = backend.course(frame.scope, grain(frame)).totals
    then = backend.course(frame.before, grain(frame)).totals if frame.compares else None
    with st.container(horizontal=True, key="tiles"):
        _live_tile(frame)
        for tile in _TILES:
            grown = words.change(getattr(now, tile.name), getattr(then, tile.name)) if then else None
            st.metric(
                tile.label,
                tile.text(now) if told(frame, tile.name) else words.NOTHING,
                delta=None
                if grown is None or not told(frame, tile.name) or abs(grown) < _UNCHANGED
                else f"{grown:+.0%}",
                delta_color=tile.color,
                border=True,
                help=words.DEFINITIONS[tile.name] + (f" {words.exactness(now)}" if tile.name == "visitors" else ""),
            )
    return now


def told(frame: Frame, name: str) -> bool:
    """Whether a number means something under the filters: clicks and sessions must be chosen by the same thing."""
    return name != "clicks_per_session" or all(dimension in OF_THE_VISITOR for dimension, _ in frame.view.filters)


def whole_shop(frame: Frame) -> str:
    """What to add to a number that no choice but the store's changes, where there are such choices."""
    return ", all" if frame.view.filters or frame.view.bots != "exclude" else ""


def _live_tile(frame: Frame) -> None:
    try:
        live = words.count(backend.live_visitors(frame.store.slug))
    except Unavailable:
        live = words.NOTHING
    st.metric("Live now" + whole_shop(frame), live, border=True, help=words.DEFINITIONS["live"])


def comparison(frame: Frame) -> str:
    """Why nothing is compared although that is asked for; empty where it is, or is not."""
    if not frame.view.compare or frame.compares:
        return ""
    return "There are no numbers of the whole period before, so nothing is compared."


def freshness(frame: Frame, hint: str = "") -> None:
    """Until when the numbers are complete; a hint on what to see of that."""
    try:
        complete = backend.completeness()
    except Unavailable:
        st.caption(":material/help: It cannot be told right now until when these numbers are complete.")
        return
    if complete.until is None:
        st.caption(f":material/schedule: {complete.waiting:,} events are still to be counted.")
        return
    wall = complete.until.astimezone(frame.zone)
    day = "" if wall.date() == frame.wall.date() else f"{wall:%a} {wall.day} {wall:%b} "
    waiting = f", {words.several(complete.waiting, 'event')} still to be counted" if complete.waiting else ""
    st.caption(
        f":material/check_circle: Complete until **{day}{wall:%H:%M:%S}** ({frame.store.timezone}){waiting}. {hint}"
    )


def trend(frame: Frame, totals: Numbers) -> None:
    """The numbers over time."""
    by = grain(frame)
    offered = {name: GRAINS[name] for name in GRAINS if name in grains(frame.days)}
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        metric = _segments("metric", METRICS, frame.view.metric, frame)
        if len(offered) > 1:
            _segments("grain", offered, by, frame)
    try:
        until = backend.completeness().until
    except Unavailable:
        until = None
    rows = backend.course(frame.scope, by).rows
    drawn = points(frame.days, rows, metric, by, frame.zone, until, frame.now)
    # Months before a range of days are no neighbours of its months: they are longer, shorter, or cut.
    compare = frame.compares and by != "month"
    if compare:
        before = previous(frame.days, frame.wall)[0]
        drawn = beside(drawn, before, backend.course(frame.before, by).rows, metric, by, frame.zone)
    if not rows and not totals.clicks:
        filtered = " with these filters" if frame.view.filters else ""
        st.info(f"Nothing happened in these days{filtered}.", icon=":material/hourglass_empty:")
        return
    draw(charts.trend(drawn, METRICS[metric], by, compare, frame.days.days), "trend", f"{METRICS[metric]} over time")


def draw(chart: charts.Chart, key: str, alt: str) -> None:
    """Draw a chart; ``alt`` is what is read to people who do not see it."""
    st.vega_lite_chart(chart.filled(), key=key, alt=alt)


def grain(frame: Frame) -> str:
    """The grain of the trend: the chosen one, if the days can be drawn in it."""
    offered = grains(frame.days)
    return frame.view.grain if frame.view.grain in offered else offered[0]


def _segments(name: str, options: Mapping[str, str], chosen: str, frame: Frame) -> str:
    key = f"segment-{name}"
    st.session_state[key] = chosen

    def changed() -> None:
        wanted = str(st.session_state[key] or chosen)
        change(partial(replace, metric=wanted) if name == "metric" else partial(replace, grain=wanted))
        st.session_state["redraw"] = True

    st.segmented_control(
        name, list(options), key=key, format_func=options.__getitem__, label_visibility="collapsed", on_change=changed
    )
    return chosen


def _orders(groups: Groups) -> backend.Orders:
    return tuple((name, order) for _, names, order in groups for name in names)


def top_lists(frame: Frame, groups: Groups) -> None:
    """Cards with the largest values of dimensions, two in a row."""
    found = backend.breakdowns(frame.scope, _orders(groups), TOP)
    for at in range(0, len(groups), 2):
        for column, (title, names, order) in zip(st.columns(2), groups[at : at + 2], strict=False):
            with column, st.container(border=True):
                st.markdown(f"**{title}**")
                for tab, name in zip(st.tabs([words.PLURALS[name] for name in names]), names, strict=True):
                    with tab:
                        bar_list(frame, found[name], order)


def bar_list(frame: Frame, breakdown: Breakdown, metric: str) -> None:
    """One dimension's largest values; a click on one filters by it."""
    name = breakdown.dimension
    most = max((getattr(row.numbers, metric) for row in breakdown.rows), default=0) or 1
    show_bars(
        f"bars-{name}",
        words.LABELS[name],
        METRICS[metric],
        [_bar(name, row, metric, most) for row in breakdown.rows],
        frame.view.value_of(name),
        f"No {words.PLURALS[name].lower()} in these days.",
        pick(name),
    )


def _bar(dimension: str, row: Row, metric: str, most: int) -> Bar:
    numbers = row.numbers
    text = words.visitors(numbers) if metric == "visitors" else words.count(getattr(numbers, metric))
    label = words.value_label(dimension, row.value)
    hint = (
        f"{label}: {words.visitors(numbers)} visitors, {words.count(numbers.sessions)} sessions, "
        f"{words.count(numbers.clicks)} clicks, {words.percent(numbers.bounce_rate)} bounced"
    )
    return Bar(row.value, label, text, getattr(numbers, metric) / most, hint)


def _decimal(number: float | None) -> str:
    return words.NOTHING if number is None else f"{number:.1f}"
