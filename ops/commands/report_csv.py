"""``marketplace report --csv``: the report for a spreadsheet, under the names that API and dashboard use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, fields
from typing import Final

from api.analytics.tables import as_csv
from connectors.insights import Conversion
from connectors.insights.report import ReportRow
from ops.commands.report_goals import MOST_VALUES

_DIGITS: Final = 6
_OF_ROWS: Final = tuple(field.name for field in fields(ReportRow))
_OF_GOALS: Final = ("conversions", "converted", "visitors", "visitors_error", "rate")


def rows_as_csv(rows: Iterable[ReportRow], titles: Mapping[str, str] | None) -> str:
    """The rows of a report: the columns of the API's CSV, and behind them the rates of the terminal's table.

    Args:
        rows: Of the report.
        titles: Of products, in a last column; None for no such column.
    """
    headings = (*_OF_ROWS, "bounce_rate", "session_seconds", *(() if titles is None else ("title",)))
    cells = (
        (*astuple(row), _rounded(row.bounce_rate), _rounded(row.session_seconds), *_title(titles, row.value))
        for row in rows
    )
    return as_csv(headings, cells).decode()


def goals_as_csv(found: Mapping[str, Sequence[Conversion]], dimension: str) -> str:
    """Conversions by goal and value.

    Args:
        found: By the goal's name.
        dimension: What was split by.
    """
    cells = (
        (
            name,
            dimension,
            row.value,
            row.conversions,
            row.converted,
            row.visitors,
            row.visitors_error,
            _rounded(row.rate),
        )
        for name, rows in found.items()
        for row in rows[:MOST_VALUES]
    )
    return as_csv(("goal", "dimension", "value", *_OF_GOALS), cells).decode()


def _rounded(number: float | None) -> float | str:
    return "" if number is None else round(number, _DIGITS)


def _title(titles: Mapping[str, str] | None, value: str) -> tuple[str, ...]:
    return () if titles is None else (titles.get(value, ""),)
