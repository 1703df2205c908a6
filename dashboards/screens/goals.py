"""The page of goals: all of them, and one by the values of a dimension."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

import streamlit as st

from dashboards.ui import conversions, formats, panels, shell
from dashboards.ui.header import change

DIMENSIONS: Final = tuple(name for name in formats.LABELS if name != "exit_page")
_FIRST: Final = "channel"


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    split = frame.view.table if frame.view.table in DIMENSIONS else _FIRST
    conversions.prefetch(frame)
    conversions.prefetch(frame, split)
    st.subheader("Goals")
    panels.freshness(frame, panels.comparison(frame))
    with st.container(border=True):
        st.markdown("**All goals**")
        if not conversions.goals_card(frame, csv=True):
            return
    names = [goal.name for goal in frame.store.goals]
    goal = frame.view.goal if frame.view.goal in names else names[0]
    with st.container(border=True):
        with st.container(horizontal=True, key="goal-choices"):
            _choice("Goal", "goal", names, goal)
            _choice("By", "table", list(DIMENSIONS), split)
        conversions.goal_table(frame, goal, split)
    with st.container(border=True):
        conversions.how_to_change_them(frame)


def _choice(label: str, name: str, options: list[str], chosen: str) -> None:
    key = f"goals-{name}"
    st.session_state[key] = chosen

    def changed() -> None:
        wanted = str(st.session_state[key])
        change(partial(replace, goal=wanted) if name == "goal" else partial(replace, table=wanted))
        st.session_state["redraw"] = True

    st.selectbox(
        label,
        options,
        key=key,
        on_change=changed,
        width=240,
        format_func=lambda value: formats.LABELS.get(value, value),
    )
