"""The page Visits: when they happen, how long they are, and how many pages they see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from connectors.insights.insights import SESSION_SECONDS_BOUNDS, SESSION_VIEWS_BOUNDS
from dashboards.data import backend
from dashboards.data.view import METRICS
from dashboards.ui import charts, formats, panels, shell

_NOTHING: Final = "No visits in these days with these filters."


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    backend.heatmap.submit(frame.scope)
    backend.session_distribution.submit(frame.scope)
    st.subheader("When visits happen, and how long they are")
    panels.key_numbers(frame)
    metric = frame.view.metric
    cells = {row.weekhour: getattr(row.numbers, metric) for row in backend.heatmap(frame.scope)}
    if not any(cells.values()):
        # A heat map of zeros alone would look as if every hour were equally busy.
        st.info(_NOTHING, icon=":material/hourglass_empty:")
        return
    with st.container(border=True):
        st.markdown(f"**{METRICS[metric]} by day of the week and hour**")
        panels.draw(charts.heatmap(cells, METRICS[metric]), "heatmap", "Hours by days of the week")
        st.caption(f"On the store's clock ({frame.store.timezone}).")
    shape = backend.session_distribution(frame.scope)
    if not sum(shape.by_seconds):
        st.info(_NOTHING, icon=":material/hourglass_empty:")
        return
    left, right = st.columns(2)
    with left, st.container(border=True):
        st.markdown("**How long visits are**")
        panels.draw(charts.classes(_lengths(SESSION_SECONDS_BOUNDS), shape.by_seconds), "lengths", "Visit lengths")
    with right, st.container(border=True):
        st.markdown("**How many pages visits see**")
        panels.draw(charts.classes(_counts(SESSION_VIEWS_BOUNDS), shape.by_views), "depths", "Page views of a visit")


def _lengths(bounds: Sequence[int]) -> list[str]:
    texts = ["0s", *(f"to {formats.duration(bound).replace(' 00s', '')}" for bound in bounds[1:])]
    return [*texts, "longer"]


def _counts(bounds: Sequence[int]) -> list[str]:
    texts, floor = [], 0
    for bound in bounds:
        texts.append(str(bound) if bound == floor + 1 else f"{floor + 1} to {bound}")
        floor = bound
    return [*texts, "more"]
