"""A list of things that can be opened: each row is one, found again by its value and not by its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import streamlit as st

Tone = Literal["good", "act", "wait", "bad", "quiet"]
"""Of a tag: it is well, the seller is to do something, somebody else is, it is not well, none of these."""


@dataclass(frozen=True)
class Tag:
    """A state in a word.

    Attributes:
        text: The word.
        tone: How it looks; it says nothing that the text does not say.
    """

    text: str
    tone: Tone = "quiet"


@dataclass(frozen=True)
class ListRow:
    """A row.

    Attributes:
        value: Passed to ``pick`` when the row is clicked.
        title, detail: Shown at its left.
        tags: Its states.
        amount, note: Shown at its right.
    """

    value: str
    title: str
    detail: str
    tags: tuple[Tag, ...]
    amount: str
    note: str


@cache
def _renderer() -> Any:
    here = files("dashboards") / "ui"
    return st.components.v2.component(
        "marketplace_rows", css=(here / "rows.css").read_text(), js=(here / "rows.js").read_text()
    )


def show_rows(key: str, label: str, rows: Sequence[ListRow], pick: Callable[[str], None]) -> None:
    """Draw the list.

    Args:
        key: The widget's key.
        label: What it is a list of, for screen readers.
        rows: The rows.
        pick: Called with the value of a row that was clicked.
    """

    def picked() -> None:
        value = (st.session_state.get(key) or {}).get("picked")
        if value is not None:
            pick(str(value))

    _renderer()(key=key, data={"label": label, "rows": [asdict(row) for row in rows]}, on_picked_change=picked)
