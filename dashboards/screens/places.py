"""Where visitors are."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboards import backend, charts, panels, shell, tables, words
from dashboards.view import METRICS

_PICKED: Final = "country"
_ALL: Final = 300


def show() -> None:
    """Draw it."""
    frame = shell.current()
    panels.begin(frame)
    panels.key_numbers(frame)
    _map(frame)
    left, right = st.columns(2)
    with left:
        st.markdown("**Countries**")
        tables.show_table(frame, "country")
    with right:
        st.markdown("**Cities**")
        tables.show_table(frame, "city")
    st.caption("Places are those of the visitor's network, which the full address was cut down to before it was kept.")


def _map(frame: shell.Frame) -> None:
    metric = frame.view.metric
    found = backend.breakdowns(frame.scope, ("country",), _ALL, metric)["country"]
    counts = [
        {
            "id": row.value,
            "name": words.value_label("country", row.value),
            "count": getattr(row.numbers, metric),
            "text": words.visitors(row.numbers) if metric == "visitors" else f"{getattr(row.numbers, metric):,}",
        }
        for row in found.rows
        if row.value
    ]
    # A selection outlives its filter in the browser; a new key forgets it.
    key = f"world-{frame.view.value_of('country') or ''}"

    def picked() -> None:
        chosen = st.session_state[key]["selection"].get(_PICKED) or []
        if chosen:
            shell.pick("country")(str(chosen[0]["id"]))

    st.altair_chart(
        charts.world(counts, METRICS[metric], _PICKED), key=key, on_select=picked, selection_mode=[_PICKED],
        alt="A map of the world; the same numbers are in the table below.",
    )  # fmt: skip
