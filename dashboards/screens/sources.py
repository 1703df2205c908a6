"""The page of traffic sources."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboards.ui import panels, shell, tables

DIMENSIONS = ("channel", "source", "medium", "campaign", "referrer", "entry_page")
_BELONGS: Final = {
    "visit": "A visit belongs to the page view that began it; one that goes on after a break of more than 30 minutes "
    "inside the shop counts as internal.",
    "last_non_direct": "A visit that nobody sent (Direct, Internal) belongs to the last who had sent the same visitor "
    "within 30 days before; without a cookie, within the day.",
}


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    tables.prefetch(frame, DIMENSIONS, "sessions")
    panels.trend(frame, panels.key_numbers(frame))
    st.caption(f"Each row shows all that its visits did, on whatever page. {_BELONGS[frame.view.attribution]}")
    tables.show_tables(frame, DIMENSIONS, "sessions")
