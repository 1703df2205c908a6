"""The page of traffic sources."""

from __future__ import annotations

import streamlit as st

from dashboards.ui import panels, shell, tables

DIMENSIONS = ("channel", "source", "medium", "campaign")


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    tables.prefetch(frame, DIMENSIONS, "sessions")
    panels.trend(frame, panels.key_numbers(frame))
    st.caption(
        "A session belongs to the click that began it. Clicks inside the shop come from its own pages and count as "
        "internal."
    )
    tables.show_tables(frame, DIMENSIONS, "sessions")
