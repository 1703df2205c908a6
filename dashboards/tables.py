"""A dimension as a whole: all its values, to be sorted, searched, filtered by and taken away."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from connectors.insights import Breakdown, Row
from dashboards import backend, words
from dashboards.shell import Frame, pick

MAX_ROWS: Final = 10_000
CSV_COLUMNS: Final = (
    "visitors", "visitors_error", "sessions", "clicks", "refires", "bounces", "duration_ms",
)  # fmt: skip


def to_csv(breakdown: Breakdown) -> str:
    """The table for a spreadsheet: exact numbers, not rounded ones, and the stored values, not their labels."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow((breakdown.dimension, *CSV_COLUMNS))
    for row in breakdown.rows:
        writer.writerow((_safe(row.value), *(getattr(row.numbers, name) for name in CSV_COLUMNS)))
    return out.getvalue()


def begin(frame: Frame, dimensions: Sequence[str], order: str = "visitors") -> None:
    """Ask for what :func:`show_tables` will draw."""
    backend.breakdowns.begin(frame.scope, ((_opened(dimensions), order),), MAX_ROWS)


def show_tables(frame: Frame, dimensions: Sequence[str], order: str = "visitors") -> None:
    """A table of each dimension, one at a time; the others are not asked for."""
    opened = _opened(dimensions)
    tabs = st.tabs([words.PLURALS[name] for name in dimensions], key=_tabs(dimensions), on_change="rerun")
    for tab, name in zip(tabs, dimensions, strict=True):
        if name == opened:
            with tab:
                _table(frame, backend.breakdowns(frame.scope, ((name, order),), MAX_ROWS)[name], order)


def _tabs(dimensions: Sequence[str]) -> str:
    return f"tabs-{dimensions[0]}"


def _opened(dimensions: Sequence[str]) -> str:
    label = st.session_state.get(_tabs(dimensions))
    return next((name for name in dimensions if words.PLURALS[name] == label), dimensions[0])


def _table(frame: Frame, found: Breakdown, order: str) -> None:
    dimension = found.dimension
    if not found.rows:
        st.info(f"No {words.PLURALS[dimension].lower()} in these days.", icon=":material/hourglass_empty:")
        return
    key = f"table-{dimension}"
    # A refresh may bring another order; a selection by position would then point at another value.
    version = st.session_state.setdefault(f"{key}-version", 0)

    def selected() -> None:
        rows = st.session_state[f"{key}-{version}"]["selection"]["rows"]
        st.session_state[f"{key}-version"] = version + 1
        if rows:
            pick(dimension)(st.session_state[f"{key}-values"][rows[0]])

    st.session_state[f"{key}-values"] = [row.value for row in found.rows]
    st.dataframe(
        drawn(dimension, found.rows, order),
        key=f"{key}-{version}",
        hide_index=True,
        placeholder="",
        on_select=selected,
        selection_mode="single-row",
        column_config=_columns(dimension),
        height=min(560, 38 + 35 * len(found.rows)),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "CSV",
            partial(to_csv, found),
            file_name=f"{frame.store.slug}-{dimension}-{frame.days.first}-{frame.days.last}.csv",
            mime="text/csv",
            icon=":material/download:",
            key=f"csv-{dimension}",
            on_click="ignore",
        )
        more = f"the {MAX_ROWS:,} largest of more" if found.more else f"{len(found.rows):,}"
        st.caption(f"{more} {words.PLURALS[dimension].lower()}. Tick a row to filter by it.")


def drawn(dimension: str, rows: Sequence[Row], order: str) -> pa.Table:
    """The table as it is drawn; the column of errors is there only where something is estimated."""
    numbers = [row.numbers for row in rows]
    orders = [getattr(number, order) for number in numbers]
    most = max(orders, default=0) or 1
    columns: dict[str, Any] = {
        dimension: [words.value_label(dimension, row.value) for row in rows],
        "share": [count / most for count in orders],
        "visitors": [number.visitors for number in numbers],
    }
    if any(number.visitors_error for number in numbers):
        columns["error"] = pa.array([number.visitors_error or None for number in numbers], pa.float64())
    return pa.table(
        columns
        | {
            "sessions": [number.sessions for number in numbers],
            "clicks": [number.clicks for number in numbers],
            "bounced": pa.array(
                [None if number.bounce_rate is None else 100 * number.bounce_rate for number in numbers], pa.float64()
            ),
            "length": [words.duration(number.session_seconds) for number in numbers],
        }
    )


def _columns(dimension: str) -> dict[str, Any]:
    column = st.column_config
    error = "One standard error of an estimate; empty where visitors are exact."
    bounced, length = words.DEFINITIONS["bounce_rate"], words.DEFINITIONS["session_seconds"]
    return {
        dimension: column.TextColumn(words.LABELS[dimension], width="medium"),
        "share": column.ProgressColumn("", min_value=0, max_value=1, format=" ", width=90),
        "error": column.NumberColumn("\N{PLUS-MINUS SIGN}", format="%.0f", help=error, width=60),
        **{
            name: column.NumberColumn(name.capitalize(), format="localized", help=words.DEFINITIONS[name], width=90)
            for name in ("visitors", "sessions", "clicks")
        },
        "bounced": column.NumberColumn("Bounced", format="%.0f %%", help=bounced, width=80),
        "length": column.TextColumn("Length", help=length, width=80),
    }


def _safe(value: str) -> str:
    # A spreadsheet runs what begins like a formula, and these texts come from anybody's URL.
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else value
