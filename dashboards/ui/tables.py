"""Tables of all values of a dimension, to sort, search, filter by, and download."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from connectors.insights import Breakdown, Row
from dashboards.data import backend
from dashboards.data.view import METRICS
from dashboards.ui import formats
from dashboards.ui.header import change
from dashboards.ui.labels import PRODUCT, Label, plain_labels, titles_of
from dashboards.ui.shell import Frame, pick
from dashboards.ui.stable_order import keep_order
from marketplace.entitlements import ENTITLEMENTS

MAX_ROWS: Final = 10_000
COLUMNS: Final = ("visitors", "sessions", "views", "actions")
CSV_COLUMNS: Final = (
    "visitors", "visitors_error", "sessions", "views", "actions", "refires", "bounces", "duration_ms",
)  # fmt: skip


def to_csv(breakdown: Breakdown, titles: Mapping[str, str] | None = None) -> str:
    """The table for a spreadsheet: exact numbers, not rounded ones, and the stored values, not their labels.

    Args:
        breakdown: The rows.
        titles: Of products, in a column of their own; None for no such column.
    """
    out = io.StringIO()
    # Quoted, because spreadsheets differ in the character that ends a column.
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow((breakdown.dimension, *(() if titles is None else ("title",)), *CSV_COLUMNS))
    for row in breakdown.rows:
        title = () if titles is None else (_safe(titles.get(row.value, "")),)
        writer.writerow((_safe(row.value), *title, *(getattr(row.numbers, name) for name in CSV_COLUMNS)))
    return out.getvalue()


def prefetch(frame: Frame, dimensions: Sequence[str], order: str = "visitors") -> None:
    """Start the query of the table that :func:`show_tables` will draw."""
    backend.breakdowns.submit(frame.scope, ((_opened(frame, dimensions), order),), MAX_ROWS)


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
                _table(frame, backend.breakdowns(frame.scope, ((name, order),), MAX_ROWS)[name], order)


def _opened(frame: Frame, dimensions: Sequence[str]) -> str:
    return frame.view.table if frame.view.table in dimensions else dimensions[0]


def _table(frame: Frame, found: Breakdown, order: str) -> None:
    dimension = found.dimension
    if not found.rows:
        st.info(f"No {formats.PLURALS[dimension].lower()} in these days.", icon=":material/hourglass_empty:")
        return
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
        drawn(dimension, rows, order, lambda value: titles.get(value) or formats.value_label(dimension, value)),
        key=f"{key}-{ordering.version}",
        hide_index=True,
        placeholder="",
        on_select=selected,
        selection_mode="single-row",
        column_config=_columns(dimension),
        height=min(560, 38 + 35 * len(rows)),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if frame.tier is None or ENTITLEMENTS[frame.tier].csv_export:
            st.download_button(
                "CSV",
                partial(to_csv, found, titles if dimension == PRODUCT else None),
                file_name=f"{frame.store.slug}-{dimension}-{frame.days.first}-{frame.days.last}.csv",
                mime="text/csv",
                icon=":material/download:",
                key=f"csv-{dimension}",
                on_click="ignore",
            )
        else:
            st.caption(f"The {frame.tier} plan does not include the table as CSV.")
        more = f"the {MAX_ROWS:,} largest of more" if found.more else f"{len(found.rows):,}"
        names = formats.LABELS if len(found.rows) == 1 else formats.PLURALS
        st.caption(f"{more} {names[dimension].lower()}. Tick a row to filter by it.")


def drawn(dimension: str, rows: Sequence[Row], order: str, label: Label | None = None) -> pa.Table:
    """The table as it is drawn; the column of errors is there only where something is estimated.

    Args:
        dimension: What the rows are of.
        rows: In the order in which they are drawn.
        order: The number that they are ordered by.
        label: What people know a value as; by default what it is without titles.
    """
    shown_as = label or plain_labels(dimension)
    numbers = [row.numbers for row in rows]
    orders = [getattr(number, order) for number in numbers]
    most = max(orders, default=0) or 1
    columns: dict[str, Any] = {
        dimension: [shown_as(row.value) for row in rows],
        **{name: [getattr(number, name) for number in numbers] for name in COLUMNS},
        "share": [count / most for count in orders],
        "error": pa.array([number.visitors_error or None for number in numbers], pa.float64()),
        "bounced": pa.array(
            [None if number.bounce_rate is None else 100 * number.bounce_rate for number in numbers], pa.float64()
        ),
        "length": pa.array([number.session_seconds for number in numbers], pa.float64()),
    }
    # The number that the rows are ordered by comes first, with its bar: a narrow screen shows little more.
    shown = [dimension, order, "share", *(name for name in COLUMNS if name != order)]
    if any(number.visitors_error for number in numbers):
        shown.insert(shown.index("visitors") + 1, "error")
    return pa.table({name: columns[name] for name in (*shown, "bounced", "length")})


def _columns(dimension: str) -> dict[str, Any]:
    column = st.column_config
    error = "One standard error of an estimate; empty where visitors are exact."
    bounced, length = formats.DEFINITIONS["bounce_rate"], formats.DEFINITIONS["session_seconds"]
    return {
        dimension: column.TextColumn(formats.LABELS[dimension], width="medium"),
        "share": column.ProgressColumn("", min_value=0, max_value=1, format=" ", width=90),
        "error": column.NumberColumn("\N{PLUS-MINUS SIGN}", format="%.0f", help=error, width=60),
        **{
            name: column.NumberColumn(METRICS[name], format="localized", help=formats.DEFINITIONS[name], width=90)
            for name in COLUMNS
        },
        "bounced": column.NumberColumn("Bounced", format="%.0f %%", help=bounced, width=80),
        "length": column.NumberColumn("Length", format="%.0f s", help=length, width=80),
    }


def _safe(value: str) -> str:
    # A spreadsheet runs what begins like a formula, and these values come from URLs that anybody can make up.
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else value
