"""Panels that several pages share: key numbers, freshness, the trend, lists of largest values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import streamlit as st

from connectors.errors import Unavailable
from connectors.insights import Breakdown, Numbers, QueryTooLarge, Row
from dashboards.data import backend
from dashboards.data.periods import DEFAULT, grains, previous
from dashboards.data.series import beside, points
from dashboards.data.view import METRICS
from dashboards.ui import charts, formats
from dashboards.ui.bars import Bar, show_bars
from dashboards.ui.columns import BEGAN_THERE
from dashboards.ui.header import change
from dashboards.ui.labels import labels
from dashboards.ui.shell import Frame, pick, show_invalid
from marketplace.rollups import DIMENSIONS

TOP: Final = 9
OF_THE_SESSION: Final = frozenset({"country", "city", "browser", "os", "device"}) | {
    dimension.name for dimension in DIMENSIONS if dimension.scope != "event"
}
"""Dimensions whose value is the same for all events of a session."""
Groups = Sequence[tuple[str, Sequence[str], str]]
"""For each card: its title, its dimensions, and the number that they are ordered by."""

GRAINS: Final = {"hour": "Hours", "day": "Days", "month": "Months"}


@dataclass(frozen=True)
class _Tile:
    """A number on top of a page; ``name`` is an attribute of ``Numbers``."""

    label: str
    name: str
    text: Callable[[Numbers], str]
    color: Literal["normal", "inverse"] = "normal"


_TILES: Final = (
    _Tile("Visitors", "visitors", formats.visitors),
    _Tile("Visits", "sessions", lambda numbers: formats.count(numbers.sessions)),
    _Tile("Page views", "views", lambda numbers: formats.count(numbers.views)),
    _Tile("Actions", "actions", lambda numbers: formats.count(numbers.actions)),
    _Tile("Views a visit", "views_per_session", lambda numbers: _decimal(numbers.views_per_session)),
    _Tile("Bounce rate", "bounce_rate", lambda numbers: formats.percent(numbers.bounce_rate), "inverse"),
    _Tile("Visit length", "session_seconds", lambda numbers: formats.duration(numbers.session_seconds)),
)


def prefetch(frame: Frame, groups: Groups = ()) -> None:
    """Start all queries of a page at once, so that it waits only for the slowest.

    Args:
        frame: The frame.
        groups: The cards of :func:`top_lists`, if the page has any.
    """
    for scope in (frame.scope, frame.before) if frame.compares else (frame.scope,):
        backend.trend_with_totals.submit(scope, grain(frame))
    backend.completeness.submit()
    backend.live_visitors.submit(frame.store.slug)
    if groups:
        backend.breakdowns.submit(frame.scope, _orders(groups), TOP)


def key_numbers(frame: Frame) -> Numbers:
    """Draw the row of key numbers; returns the totals."""
    now = backend.trend_with_totals(frame.scope, grain(frame)).totals
    then = backend.trend_with_totals(frame.before, grain(frame)).totals if frame.compares else None
    with st.container(horizontal=True, key="tiles"):
        _live_tile(frame)
        for tile in _TILES:
            grown = formats.change(getattr(now, tile.name), getattr(then, tile.name)) if then else None
            st.metric(
                tile.label,
                tile.text(now) if is_meaningful(frame, tile.name) else formats.NOTHING,
                delta=None
                if grown is None or not is_meaningful(frame, tile.name) or abs(grown) < formats.UNCHANGED
                else f"{grown:+.0%}",
                delta_color=tile.color,
                border=True,
                help=formats.DEFINITIONS[tile.name] + (f" {formats.exactness(now)}" if tile.name == "visitors" else ""),
            )
    return now


def is_meaningful(frame: Frame, name: str) -> bool:
    """Whether a number means something under the filters: they must select events and sessions alike."""
    return name != "views_per_session" or all(dimension in OF_THE_SESSION for dimension, _ in frame.view.filters)


def whole_shop(frame: Frame) -> str:
    """A suffix for labels of numbers that ignore the filters, while filters are set."""
    return ", all" if frame.view.filters or frame.view.bots != "exclude" else ""


def _live_tile(frame: Frame) -> None:
    try:
        live = formats.count(backend.live_visitors(frame.store.slug))
    except Unavailable:
        live = formats.NOTHING
    st.metric("Live now" + whole_shop(frame), live, border=True, help=formats.DEFINITIONS["live"])


def comparison(frame: Frame) -> str:
    """Why the comparison that was chosen is not shown; empty where it is shown, or was not chosen."""
    if not frame.view.compare or frame.compares:
        return ""
    # Nobody has asked for the usual days to be compared: there, the switch's own help says it.
    if frame.view.period == DEFAULT:
        return ""
    if frame.earliest is not None and previous(frame.days, frame.wall)[0].date() < frame.earliest:
        return f"The {frame.tier} plan does not include the whole period before, so nothing is compared."
    return "There are no numbers of the whole period before, so nothing is compared."


def hint(frame: Frame, totals: Numbers) -> str:
    """What to know about the trend below: that a part of it is dotted, and why nothing is compared."""
    dotted = "Dotted lines are still growing. " if is_anything(totals) and frame.days.until > frame.wall else ""
    return f"{dotted}{comparison(frame)}"


def is_anything(totals: Numbers) -> bool:
    """Whether anything happened at all."""
    return bool(totals.views or totals.actions or totals.sessions)


def freshness(frame: Frame, hint: str = "") -> None:
    """Show until when the numbers are complete, and a hint after it."""
    try:
        complete = backend.completeness()
    except Unavailable:
        st.caption(":material/help: It is not known right now until when these numbers are complete.")
        return
    if complete.until is None:
        st.caption(f":material/schedule: {complete.waiting:,} events are still to be counted.")
        return
    wall = complete.until.astimezone(frame.zone)
    day = "" if wall.date() == frame.wall.date() else f"{wall:%a} {wall.day} {wall:%b} "
    waiting = f", {formats.several(complete.waiting, 'event')} still to be counted" if complete.waiting else ""
    st.caption(
        f":material/check_circle: Complete until **{day}{wall:%H:%M:%S}** ({frame.store.timezone}){waiting}. {hint}"
    )


def trend(frame: Frame, totals: Numbers) -> None:
    """Draw the chart of one number over time, with its choices of number and grain."""
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
    rows = backend.trend_with_totals(frame.scope, by).rows
    drawn = points(frame.days, rows, metric, by, frame.zone, until, frame.now)
    # Months are not compared with those before: they differ in length, and those at the ends of a range are partial.
    compare = frame.compares and by != "month"
    if compare:
        before = previous(frame.days, frame.wall)[0]
        drawn = beside(drawn, before, backend.trend_with_totals(frame.before, by).rows, metric, by, frame.zone)
    if not rows and not is_anything(totals):
        filtered = " with these filters" if frame.view.filters else ""
        st.info(f"Nothing happened in these days{filtered}.", icon=":material/hourglass_empty:")
        return
    draw(charts.trend(drawn, METRICS[metric], by, compare, frame.days.days), "trend", f"{METRICS[metric]} over time")


def draw(chart: charts.Chart, key: str, alt: str) -> None:
    """Draw a chart; ``alt`` is the text for screen readers."""
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
    try:
        found = backend.breakdowns(frame.scope, _orders(groups), TOP)
    except QueryTooLarge as error:
        show_invalid(error, frame)
        return
    before = _of_rows_before(frame, found.values())
    for at in range(0, len(groups), 2):
        for column, (title, names, order) in zip(st.columns(2), groups[at : at + 2], strict=False):
            with column, st.container(border=True):
                st.markdown(f"**{title}**")
                for tab, name in zip(st.tabs([formats.PLURALS[name] for name in names]), names, strict=True):
                    with tab:
                        bar_list(frame, found[name], order, None if before is None else before[name])


def _of_rows_before(frame: Frame, found: Iterable[Breakdown]) -> dict[str, dict[str, Numbers]] | None:
    """The numbers that the rows had in the period before, by dimension and value; None where nothing is compared."""
    if not frame.compares:
        return None
    shown = tuple((each.dimension, tuple(sorted(row.value for row in each.rows))) for each in found)
    try:
        return backend.numbers_of(frame.before, shown)
    except QueryTooLarge:
        # The rows are there without it.
        return None


def bar_list(frame: Frame, breakdown: Breakdown, metric: str, before: Mapping[str, Numbers] | None = None) -> None:
    """One dimension's largest values; a click on one filters by it.

    Args:
        frame: The frame.
        breakdown: The values.
        metric: The number that is drawn.
        before: What they had in the period before; None where nothing is compared.
    """
    name = breakdown.dimension
    most = max((getattr(row.numbers, metric) for row in breakdown.rows), default=0) or 1
    label = labels(frame.store.slug, name, (row.value for row in breakdown.rows))
    show_bars(
        f"bars-{name}",
        formats.LABELS[name],
        METRICS[metric],
        [_bar(name, label(row.value), row, metric, most, before) for row in breakdown.rows],
        frame.view.value_of(name),
        f"No {formats.PLURALS[name].lower()} in these days.",
        pick(name),
    )


def _bar(dimension: str, label: str, row: Row, metric: str, most: int, before: Mapping[str, Numbers] | None) -> Bar:
    numbers = row.numbers
    text = _text_of(numbers, metric)
    visits = "entries" if dimension in BEGAN_THERE else "visits"
    hint = (
        f"{label}: {formats.visitors(numbers)} visitors, {formats.count(numbers.sessions)} {visits}, "
        f"{formats.count(numbers.views)} page views, {formats.percent(numbers.bounce_rate)} bounced"
    )
    if before is None:
        return Bar(row.value, label, text, getattr(numbers, metric) / most, hint)
    then = before.get(row.value, Numbers())
    words = formats.change_words(formats.change(getattr(numbers, metric), getattr(then, metric)))
    hint += f". In the period before: {_text_of(then, metric)} {METRICS[metric].lower()}, so {words.spoken}"
    return Bar(row.value, label, text, getattr(numbers, metric) / most, hint, *words)


def _text_of(numbers: Numbers, metric: str) -> str:
    return formats.visitors(numbers) if metric == "visitors" else formats.count(getattr(numbers, metric))


def _decimal(number: float | None) -> str:
    return formats.NOTHING if number is None else f"{number:.1f}"
