"""The page Overview: key numbers, the trend, and the largest values of each dimension."""

from __future__ import annotations

import streamlit as st

from dashboards.ui import conversions, panels, shell

GROUPS = (
    ("Where they come from", ("channel", "source", "campaign"), "sessions"),
    ("What they look at", ("product", "page"), "visitors"),
    ("Where they are", ("country", "city"), "visitors"),
    ("What they use", ("device", "browser", "os"), "visitors"),
)


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame, GROUPS)
    conversions.prefetch(frame)
    totals = panels.key_numbers(frame)
    panels.freshness(frame, panels.hint(frame, totals))
    panels.trend(frame, totals)
    if panels.is_anything(totals):
        panels.top_lists(frame, GROUPS)
    with st.container(border=True, key="goals"):
        st.markdown("**Goals**")
        if conversions.goals_card(frame):
            st.button("By channel, page and more", icon=":material/flag:", type="tertiary", on_click=_go_to_goals)


def _go_to_goals() -> None:
    st.session_state["go-to"] = "goals"
    st.session_state["redraw"] = True
