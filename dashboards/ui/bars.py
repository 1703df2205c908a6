"""A list of values with bars, which can be clicked: the largest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st


@dataclass(frozen=True)
class Bar:
    """A row.

    Attributes:
        value: Passed to ``pick`` when the row is clicked.
        label, text: Shown at its left and right.
        share: The bar's length, 0 to 1.
        hint: The tooltip.
        change: How it stands against the period before, for eyes; empty where nothing is compared.
        spoken: The same in words, for screen readers.
        tone: ``up``, ``down``, or empty.
    """

    value: str
    label: str
    text: str
    share: float
    hint: str
    change: str = ""
    spoken: str = ""
    tone: str = ""


@cache
def _renderer() -> Any:
    here = files("dashboards") / "ui"
    return st.components.v2.component(
        "marketplace_bars", css=(here / "bars.css").read_text(), js=(here / "bars.js").read_text()
    )


def show_bars(
    key: str, title: str, unit: str, bars: Sequence[Bar], chosen: str | None, empty: str, pick: Callable[[str], None]
) -> None:
    """Draw the list.

    Args:
        key: The widget's key.
        title: The heading of the column of values.
        unit: The heading of the column of numbers.
        bars: The rows.
        chosen: The value that is filtered by.
        empty: Shown when there are no rows.
        pick: Called with the value of a row that was clicked.
    """

    def picked() -> None:
        value = (st.session_state.get(key) or {}).get("picked")
        if value is not None:
            pick(str(value))

    rows = [asdict(bar) for bar in bars]
    data = {"title": title, "unit": unit, "rows": rows, "chosen": chosen, "empty": empty}
    _renderer()(key=key, data=data, on_picked_change=picked)
