"""What visitors use."""

from __future__ import annotations

import streamlit as st

from dashboards import panels, shell, tables, words

DIMENSIONS = ("device", "browser", "os")


def show() -> None:
    """Draw it."""
    frame = shell.current()
    panels.begin(frame)
    panels.trend(frame, panels.key_numbers(frame))
    for tab, name in zip(st.tabs([words.PLURALS[name] for name in DIMENSIONS]), DIMENSIONS, strict=True):
        with tab:
            tables.show_table(frame, name)
