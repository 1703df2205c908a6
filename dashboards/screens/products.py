"""The page of products, shop pages, and what is clicked on them."""

from __future__ import annotations

import streamlit as st

from connectors.insights import QueryTooLarge
from dashboards.data import backend
from dashboards.ui import panels, shell, tables

DIMENSIONS = ("product", "page")


def show() -> None:
    """Draw the page."""
    frame = shell.current_frame()
    panels.prefetch(frame)
    tables.prefetch(frame, DIMENSIONS)
    backend.targets.submit(frame.scope)
    panels.trend(frame, panels.key_numbers(frame))
    tables.show_tables(frame, DIMENSIONS)
    _targets(frame)


def _targets(frame: shell.Frame) -> None:
    """What is clicked, such as the button that puts a product into the cart."""
    with st.container(border=True, key="targets"):
        st.markdown("**What is clicked**")
        try:
            found = backend.targets(frame.scope)
        except QueryTooLarge as error:
            text = str(error)
            st.caption(f"{text[:1].upper()}{text[1:]}.")
            return
        if not found:
            st.caption(
                "Nothing with a name was clicked in these days: a button's `name` or `data-target` gives it one."
            )
            return
        st.dataframe(
            [{"what": each.name, "actions": each.actions, "visitors": each.visitors} for each in found],
            hide_index=True,
            height=min(400, 38 + 35 * len(found)),
            column_config={
                "what": st.column_config.TextColumn("What", width="medium"),
                "actions": st.column_config.NumberColumn("Clicks", format="localized"),
                "visitors": st.column_config.NumberColumn("Visitors", format="localized"),
            },
        )
