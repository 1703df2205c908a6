"""The button under a table that gives it as CSV, where the plan includes that."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from dashboards.ui.plans import how_to_lift
from dashboards.ui.shell import Frame
from marketplace.entitlements import ENTITLEMENTS


def show_csv(frame: Frame, name: str, make: Callable[[], str]) -> None:
    """Draw the button, or say that the plan has none.

    Args:
        frame: The frame.
        name: What the table is of, for the file's name and the widget's key.
        make: Gives the text; called when the button is pressed.
    """
    if frame.tier is None or ENTITLEMENTS[frame.tier].csv_export:
        st.download_button(
            "CSV",
            make,
            file_name=f"{frame.store.slug}-{name}-{frame.days.first}-{frame.days.last}.csv",
            mime="text/csv",
            icon=":material/download:",
            key=f"csv-{name}",
            on_click="ignore",
        )
    else:
        st.caption(f"The {frame.tier} plan does not include the table as CSV.{how_to_lift(frame.tier)}")
