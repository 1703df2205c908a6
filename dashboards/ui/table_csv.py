"""Tables for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Final

from connectors.insights import Breakdown, Conversion, Numbers
from dashboards.ui.columns import exit_rate, is_of_actions, is_of_exits
from dashboards.ui.formats import UNKNOWN, country_names

CSV_COLUMNS: Final = (
    "visitors", "visitors_error", "sessions", "views", "actions", "refires", "bounces", "bounce_rate", "duration_ms",
)  # fmt: skip
_OF_EXITS: Final = ("sessions", "bounces", "bounce_rate", "duration_ms", "exit_rate")
_OF_ACTIONS: Final = ("visitors", "visitors_error", "actions", "refires")
_OF_GOALS: Final = ("conversions", "converted", "visitors", "visitors_error", "rate")
BOM: Final = "\ufeff"
"""Without it Excel reads UTF-8 as the code page of the machine."""


def csv_columns(dimension: str) -> tuple[str, ...]:
    """The numbers that mean something for the values of a dimension."""
    if is_of_exits(dimension):
        return _OF_EXITS
    return _OF_ACTIONS if is_of_actions(dimension) else CSV_COLUMNS


def numbers_by_value(breakdown: Breakdown) -> dict[str, Numbers]:
    """The numbers of its rows."""
    return {row.value: row.numbers for row in breakdown.rows}


def to_csv(
    breakdown: Breakdown,
    titles: Mapping[str, str] | None = None,
    views: Mapping[str, int] | None = None,
    before: Breakdown | None = None,
) -> str:
    """The table for a spreadsheet: exact numbers, not rounded ones, and the stored values with their names beside them.

    Args:
        breakdown: The rows.
        titles: Of products, in a column of their own; None for no such column.
        views: Page views by page, for exit rates.
        before: The period before, whose numbers stand behind those of now, in columns whose names end with
            ``_before``; None for no such columns.
    """
    out = io.StringIO()
    dimension, columns = breakdown.dimension, csv_columns(breakdown.dimension)
    names, heading = _names(dimension, titles)
    # Quoted, because spreadsheets differ in the character that ends a column.
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    # Exit rates need the views of the period before, which no list asks for.
    of_before = () if before is None else tuple(column for column in columns if column != "exit_rate")
    then = {} if before is None else numbers_by_value(before)
    # Where only the largest values of the period before are known, one that is not among them is not known to be 0.
    missing = None if before is None or before.more else Numbers()
    writer.writerow((dimension, *heading, *columns, *(f"{column}_before" for column in of_before)))
    for row in breakdown.rows:
        name = _name(names, row.value)
        page_views = (views or {}).get(row.value)
        now = [_number(row.numbers, column, page_views) for column in columns]
        past = then.get(row.value, missing)
        ago = ["" if past is None else _number(past, column, None) for column in of_before]
        writer.writerow((_safe(row.value), *name, *now, *ago))
    return BOM + out.getvalue()


def goals_to_csv(
    rows: Sequence[Conversion],
    dimension: str = "",
    titles: Mapping[str, str] | None = None,
    before: Mapping[tuple[str, str], Conversion] | None = None,
) -> str:
    """How often goals were reached, for a spreadsheet.

    Args:
        rows: In the order in which they are written.
        dimension: What their values are of; empty where they are of all visits.
        titles: Of products, in a column of their own; None for no such column.
        before: The numbers of the period before, by goal and value; None for no such columns.
    """
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    names, heading = _names(dimension, titles)
    of_before = () if before is None else tuple(f"{column}_before" for column in _OF_GOALS)
    writer.writerow(("goal", *((dimension,) if dimension else ()), *heading, *_OF_GOALS, *of_before))
    for row in rows:
        value = (_safe(row.value), *_name(names, row.value)) if dimension else ()
        then = None if before is None else before.get((row.goal, row.value), Conversion(row.goal, row.value, 0, 0, 0))
        ago = () if then is None else _of_goal(then)
        writer.writerow((_safe(row.goal), *value, *_of_goal(row), *ago))
    return BOM + out.getvalue()


def _of_goal(row: Conversion) -> tuple[float | int | str, ...]:
    rate = "" if row.rate is None else round(row.rate, 6)
    return row.conversions, row.converted, row.visitors, row.visitors_error, rate


def _names(dimension: str, titles: Mapping[str, str] | None) -> tuple[Mapping[str, str] | None, tuple[str, ...]]:
    """What values are known as, beside them, and the heading of that column."""
    if dimension == "country":
        return {**country_names(), "": UNKNOWN}, ("name",)
    return titles, () if titles is None else ("title",)


def _name(names: Mapping[str, str] | None, value: str) -> tuple[str, ...]:
    return () if names is None else (_safe(names.get(value, "")),)


def _number(numbers: Numbers, column: str, page_views: int | None) -> float | int | str:
    value = exit_rate(numbers, page_views) if column == "exit_rate" else getattr(numbers, column)
    if value is None:
        return ""
    return round(value, 6) if column.endswith("_rate") else value


def _safe(value: str) -> str:
    # A spreadsheet runs what begins like a formula, and these values come from URLs that anybody can make up.
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else value
