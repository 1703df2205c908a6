"""The page of countries and cities, with a map."""

from __future__ import annotations

from typing import Final

import streamlit as st

from connectors.insights import Row
from dashboards.data import backend
from dashboards.data.view import METRICS
from dashboards.ui import charts, formats, panels, shell, tables

DIMENSIONS: Final = ("country", "city")
_PICKED: Final = "country"
_COUNTRIES: Final = (("country", "visitors"),)


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    # The same query as the table's, where that is open: it runs once.
    backend.breakdowns.submit(frame.scope, _COUNTRIES, tables.MAX_ROWS)
    tables.prefetch(frame, DIMENSIONS)
    panels.key_numbers(frame)
    _map(frame)
    tables.show_tables(frame, DIMENSIONS)
    st.caption("Places are those of the visitor's network, which the full address was cut down to before it was kept.")


def _map(frame: shell.Frame) -> None:
    found = backend.breakdowns(frame.scope, _COUNTRIES, tables.MAX_ROWS)["country"]
    chart = charts.world([_country(row, frame.view.metric) for row in found.rows if row.value], _metric(frame), _PICKED)
    counted = {row.value for row in found.rows}
    # A selection outlives its filter in the browser; a new key forgets it.
    key = f"world-{frame.view.value_of('country') or ''}"

    def picked() -> None:
        chosen = st.session_state[key]["selection"].get(_PICKED) or []
        # Countries without numbers can be clicked as well, and have nothing to show.
        if chosen and chosen[0]["id"] in counted:
            shell.pick("country")(str(chosen[0]["id"]))

    st.vega_lite_chart(
        chart.filled(), key=key, on_select=picked, selection_mode=[_PICKED],
        alt="A map of the world; the same numbers are in the table below.",
    )  # fmt: skip


def _metric(frame: shell.Frame) -> str:
    return METRICS[frame.view.metric]


def _country(row: Row, metric: str) -> dict[str, object]:
    count = getattr(row.numbers, metric)
    return {
        "id": row.value,
        "name": formats.value_label("country", row.value),
        "count": count,
        "text": formats.visitors(row.numbers) if metric == "visitors" else f"{count:,}",
    }
