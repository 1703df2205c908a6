"""The columns of tables: for each dimension those numbers that mean something, under the name of what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import streamlit as st

from connectors.insights import Numbers, Row
from dashboards.data.view import METRICS
from dashboards.ui import formats
from dashboards.ui.labels import Label, plain_labels

_BAR: Final = "How long the bar is: this row beside the largest one."
COLUMNS: Final = ("visitors", "sessions", "views", "actions")
BEGAN_THERE: Final = frozenset({"page", "product", "entry_page"})
"""Whose sessions are those that began there."""


def is_of_exits(dimension: str) -> bool:
    """Whether its rows have sessions alone: those that ended there."""
    return dimension == "exit_page"


def is_of_actions(dimension: str) -> bool:
    """Whether its rows have actions alone: no session begins at one."""
    return dimension in ("target", "event")


def order_of(dimension: str, order: str) -> str:
    """The number by which the values of a dimension are ordered where ``order`` is asked for."""
    if is_of_actions(dimension):
        return "actions"
    return "sessions" if dimension in ("entry_page", "exit_page") else order


def exit_rate(numbers: Numbers, views: int | None) -> float | None:
    """Exits of the views of a page; None where its views are not known."""
    return numbers.sessions / views if views else None


def drawn(
    dimension: str,
    rows: Sequence[Row],
    order: str,
    label: Label | None = None,
    *,
    before: Mapping[str, Numbers] | None = None,
    views: Mapping[str, int] | None = None,
) -> pa.Table:
    """The table as it is drawn; the column of errors is there only where something is estimated.

    Args:
        dimension: What the rows are of.
        rows: In the order in which they are drawn.
        order: The number that they are ordered by.
        label: What people know a value as; by default what it is without titles.
        before: The numbers of the period before, by value; None where nothing is compared.
        views: Page views by page, for exit rates.
    """
    shown_as = label or plain_labels(dimension)
    numbers = [row.numbers for row in rows]
    orders = [getattr(number, order) for number in numbers]
    most = max(orders, default=0) or 1
    columns: dict[str, Any] = {
        dimension: [shown_as(row.value) for row in rows],
        **{name: [getattr(number, name) for number in numbers] for name in COLUMNS},
        "share": [count / most for count in orders],
        "change": _percent([_change(row, order, before or {}) for row in rows]),
        "error": pa.array([number.visitors_error or None for number in numbers], pa.float64()),
        "exit_rate": _percent([exit_rate(row.numbers, (views or {}).get(row.value)) for row in rows]),
        "bounced": _percent([number.bounce_rate for number in numbers]),
        "length": pa.array([_whole(number.session_seconds) for number in numbers], pa.duration("s")),
    }
    return pa.table({name: columns[name] for name in _shown(dimension, numbers, order, compares=before is not None)})


def _shown(dimension: str, numbers: Sequence[Numbers], order: str, *, compares: bool) -> list[str]:
    counts: Sequence[str] = COLUMNS
    rest = ["bounced", "length"]
    if is_of_exits(dimension):
        counts, rest = ("sessions",), ["exit_rate", "bounced", "length"]
    elif is_of_actions(dimension):
        counts, rest = ("visitors", "actions"), []
    # The number that the rows are ordered by comes first, with its bar: a narrow screen shows little more.
    change = ["change"] if compares else []
    shown = [dimension, order, "share", *change, *(name for name in counts if name != order)]
    if "visitors" in shown and any(number.visitors_error for number in numbers):
        shown.insert(shown.index("visitors") + 1, "error")
    return [*shown, *rest]


def _change(row: Row, order: str, before: Mapping[str, Numbers]) -> float | None:
    then = before.get(row.value)
    return None if then is None else formats.change(getattr(row.numbers, order), getattr(then, order))


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)


def _percent(shares: Sequence[float | None]) -> pa.Array:
    return pa.array([None if share is None else 100 * share for share in shares], pa.float64())


def column_config(dimension: str) -> dict[str, Any]:
    """How the columns are shown."""
    column, words = st.column_config, formats.DEFINITIONS
    error = "One standard error of an estimate; empty where visitors are exact."
    titles, helps = dict(METRICS), {name: words[name] for name in COLUMNS}
    if dimension in BEGAN_THERE:
        titles["sessions"], helps["sessions"] = "Entries", words["entries"]
    if is_of_exits(dimension):
        titles["sessions"], helps["sessions"] = "Exits", words["exits"]
    return {
        dimension: column.TextColumn(formats.LABELS[dimension], width="medium"),
        "share": column.ProgressColumn("Of the largest", min_value=0, max_value=1, format=" ", width=100, help=_BAR),
        "change": column.NumberColumn("Change", format="%+.0f%%", help=words["change"], width=80),
        "error": column.NumberColumn("\N{PLUS-MINUS SIGN}", format="%.0f", help=error, width=60),
        **{name: column.NumberColumn(titles[name], format="localized", help=helps[name], width=90) for name in COLUMNS},
        "exit_rate": column.NumberColumn("Exit rate", format="%.1f%%", help=words["exit_rate"], width=80),
        "bounced": column.NumberColumn("Bounced", format="%.0f%%", help=words["bounce_rate"], width=80),
        "length": column.NumberColumn("Length", format="localized", help=words["session_seconds"], width=110),
    }
