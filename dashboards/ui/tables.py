"""Tables of all values of a dimension, to sort, search, filter by, and download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import streamlit as st

from connectors.insights import Breakdown, QueryTooLarge
from dashboards.data import backend
from dashboards.ui import formats
from dashboards.ui.columns import column_config, drawn, is_of_exits, order_of
from dashboards.ui.downloads import show_csv
from dashboards.ui.header import change
from dashboards.ui.labels import PRODUCT, titles_of
from dashboards.ui.shell import Frame, pick, show_invalid
from dashboards.ui.stable_order import keep_order
from dashboards.ui.table_csv import numbers_by_value, to_csv

MAX_ROWS: Final = 10_000
_VIEWS: Final = (("page", "views"),)
_NAMES: Final = {
    "target": "Nothing with a name was clicked in these days: a button's `name` or `data-target` gives it one.",
    "event": "No named event came in these days: `marketplace('add_to_cart')` on a page sends one.",
}
"""What to do where there are no values."""


def prefetch(frame: Frame, dimensions: Sequence[str], order: str = "visitors") -> None:
    """Start the queries of the table that :func:`show_tables` will draw."""
    opened = _opened(frame, dimensions)
    asked = ((opened, order_of(opened, order)),)
    for scope in (frame.scope, frame.before) if frame.compares else (frame.scope,):
        backend.breakdowns.submit(scope, asked, MAX_ROWS)
    if is_of_exits(opened):
        backend.breakdowns.submit(frame.scope, _VIEWS, MAX_ROWS)


def show_tables(frame: Frame, dimensions: Sequence[str], order: str = "visitors") -> None:
    """Tabs with a table for each dimension; only the open one is queried."""
    opened = _opened(frame, dimensions)
    labels = {formats.PLURALS[name]: name for name in dimensions}
    key = f"tabs-{dimensions[0]}"
    st.session_state[key] = formats.PLURALS[opened]

    def turned() -> None:
        change(partial(replace, table=labels[st.session_state[key]]))
        st.session_state["redraw"] = True

    for tab, name in zip(st.tabs(list(labels), key=key, on_change=turned), dimensions, strict=True):
        if name == opened:
            with tab:
                try:
                    _table(frame, name, order_of(name, order))
                except QueryTooLarge as error:
                    show_invalid(error, frame)


def _opened(frame: Frame, dimensions: Sequence[str]) -> str:
    return frame.view.table if frame.view.table in dimensions else dimensions[0]


def _table(frame: Frame, dimension: str, order: str) -> None:
    found = backend.breakdowns(frame.scope, ((dimension, order),), MAX_ROWS)[dimension]
    if not found.rows:
        nothing = f"No {formats.PLURALS[dimension].lower()} in these days."
        st.info(_NAMES.get(dimension, nothing), icon=":material/hourglass_empty:")
        return
    before = _before(frame, dimension, order)
    views = _page_views(frame) if is_of_exits(dimension) else None
    key = f"table-{dimension}"
    titles = titles_of(frame.store.slug, dimension, (row.value for row in found.rows))
    ordering, rows = keep_order(st.session_state.get(key), (frame.scope, order), found.rows)
    st.session_state[key] = ordering

    def selected() -> None:
        chosen = st.session_state[f"{key}-{ordering.version}"]["selection"]["rows"]
        st.session_state[key] = ordering.cleared()
        if chosen:
            pick(dimension)(ordering.values[chosen[0]])

    st.dataframe(
        drawn(
            dimension,
            rows,
            order,
            lambda value: titles.get(value) or formats.value_label(dimension, value),
            before=None if before is None else numbers_by_value(before),
            views=views,
        ),
        key=f"{key}-{ordering.version}",
        hide_index=True,
        placeholder="",
        on_select=selected,
        selection_mode="single-row",
        column_config=column_config(dimension),
        height=min(560, 38 + 35 * len(rows)),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        show_csv(frame, dimension, partial(to_csv, found, titles if dimension == PRODUCT else None, views, before))
        more = f"the {MAX_ROWS:,} largest of more" if found.more else f"{len(found.rows):,}"
        names = formats.LABELS if len(found.rows) == 1 else formats.PLURALS
        st.caption(f"{more} {names[dimension].lower()}. Tick a row to filter by it.")


def _before(frame: Frame, dimension: str, order: str) -> Breakdown | None:
    """The values of the period before; None where nothing is compared."""
    if not frame.compares:
        return None
    return backend.breakdowns(frame.before, ((dimension, order),), MAX_ROWS)[dimension]


def _page_views(frame: Frame) -> dict[str, int]:
    found: Breakdown = backend.breakdowns(frame.scope, _VIEWS, MAX_ROWS)["page"]
    return {row.value: row.numbers.views for row in found.rows}
