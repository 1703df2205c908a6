"""Where visits come from."""

from __future__ import annotations

import streamlit as st

from dashboards import panels, shell, tables, words

DIMENSIONS = ("channel", "source", "medium", "campaign")


def show() -> None:
    """Draw it."""
    frame = shell.current()
    panels.begin(frame)
    panels.trend(frame, panels.key_numbers(frame))
    st.caption(
        "A session belongs to the click that began it. Clicks inside the shop come from its own pages and count as "
        "internal."
    )
    for tab, name in zip(st.tabs([words.PLURALS[name] for name in DIMENSIONS]), DIMENSIONS, strict=True):
        with tab:
            tables.show_table(frame, name, "sessions")
