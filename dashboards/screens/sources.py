"""The page of traffic sources."""

from __future__ import annotations

import streamlit as st

from dashboards.ui import panels, shell, tables

DIMENSIONS = ("channel", "source", "medium", "campaign", "referrer", "entry_page")


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    tables.prefetch(frame, DIMENSIONS, "sessions")
    panels.trend(frame, panels.key_numbers(frame))
    st.caption(
        "Each row shows all that its visits did, on whatever page. A visit belongs to the page view that began it; one "
        "that goes on after a break of more than 30 minutes inside the shop counts as internal."
    )
    tables.show_tables(frame, DIMENSIONS, "sessions")
