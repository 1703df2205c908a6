"""When visits happen and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from connectors.insights.insights import VISIT_CLICKS, VISIT_SECONDS
from dashboards.data import backend
from dashboards.data.view import METRICS
from dashboards.ui import charts, panels, shell
from dashboards.ui import formats as words

_NOTHING: Final = "No sessions in these days with these filters."


def show() -> None:
    """Draw it."""
    frame = shell.current()
    panels.begin(frame)
    backend.heatmap.begin(frame.scope)
    backend.visits.begin(frame.scope)
    panels.key_numbers(frame)
    metric = frame.view.metric
    cells = {row.weekhour: getattr(row.numbers, metric) for row in backend.heatmap(frame.scope)}
    if not any(cells.values()):
        # Drawn of nothing but zeros, every hour would look as busy as the others.
        st.info(_NOTHING, icon=":material/hourglass_empty:")
        return
    with st.container(border=True):
        st.markdown(f"**{METRICS[metric]} by day of the week and hour**")
        panels.draw(charts.heatmap(cells, METRICS[metric]), "heatmap", "Hours by days of the week")
        st.caption(f"On the store's clock ({frame.store.timezone}).")
    shape = backend.visits(frame.scope)
    if not sum(shape.by_seconds):
        st.info(_NOTHING, icon=":material/hourglass_empty:")
        return
    left, right = st.columns(2)
    with left, st.container(border=True):
        st.markdown("**How long sessions are**")
        panels.draw(charts.classes(_lengths(VISIT_SECONDS), shape.by_seconds), "lengths", "Session lengths")
    with right, st.container(border=True):
        st.markdown("**How many clicks sessions have**")
        panels.draw(charts.classes(_counts(VISIT_CLICKS), shape.by_clicks), "depths", "Clicks per session")


def _lengths(bounds: Sequence[int]) -> list[str]:
    texts = ["0s", *(f"to {words.duration(bound).replace(' 00s', '')}" for bound in bounds[1:])]
    return [*texts, "longer"]


def _counts(bounds: Sequence[int]) -> list[str]:
    texts, floor = [], 0
    for bound in bounds:
        texts.append(str(bound) if bound == floor + 1 else f"{floor + 1} to {bound}")
        floor = bound
    return [*texts, "more"]
