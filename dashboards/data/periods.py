"""Date ranges as people choose them, on the store's own calendar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

CUSTOM: Final = "custom"
DEFAULT: Final = "28d"
HOURS_UP_TO_DAYS: Final = 14
"""Longer ranges are not drawn by the hour: more points than a chart has pixels for."""


@dataclass(frozen=True)
class Range:
    """Whole days of the store's calendar.

    Attributes:
        first: The first day.
        last: The last day that counts.
    """

    first: date
    last: date

    @property
    def days(self) -> int:
        """Their number."""
        return (self.last - self.first).days + 1

    def within(self, earliest: date | None) -> Range:
        """Without the days before one; that day alone where nothing else is left."""
        return self if earliest is None else Range(max(self.first, earliest), max(self.last, earliest))

    @property
    def since(self) -> datetime:
        """The midnight at which it begins, naive: on the store's clock."""
        return datetime.combine(self.first, time())

    @property
    def until(self) -> datetime:
        """The midnight at which it ends, naive: on the store's clock."""
        return datetime.combine(self.last + timedelta(days=1), time())


def _last(days: int) -> Callable[[date, date], Range]:
    return lambda today, _: Range(today - timedelta(days=days - 1), today)


def _yesterday(today: date, _: date) -> Range:
    return Range(today - timedelta(days=1), today - timedelta(days=1))


def _month(today: date, _: date) -> Range:
    return Range(today.replace(day=1), today)


def _last_month(today: date, _: date) -> Range:
    last = today.replace(day=1) - timedelta(days=1)
    return Range(last.replace(day=1), last)


PERIODS: Final[dict[str, tuple[str, Callable[[date, date], Range]]]] = {
    "today": ("Today", _last(1)),
    "yesterday": ("Yesterday", _yesterday),
    "7d": ("Last 7 days", _last(7)),
    "28d": ("Last 28 days", _last(28)),
    "90d": ("Last 90 days", _last(90)),
    "month": ("Month to date", _month),
    "last-month": ("Last month", _last_month),
    "12mo": ("Last 12 months", _last(365)),
    "all": ("All time", lambda today, first_ever: Range(min(first_ever, today), today)),
}
"""By their name in the URL: the label, and a function from today and the first day that has numbers to the range."""


def previous(chosen: Range, now: datetime) -> tuple[datetime, datetime]:
    """The previous period of the same length.

    A range that is not over yet is compared with the same part of the period before, so that a Tuesday morning is
    not compared with a whole Monday.

    Args:
        chosen: The range.
        now: The store's wall clock, naive.

    Returns:
        Its beginning and end, naive.
    """
    begins = chosen.since - timedelta(days=chosen.days)
    # Rollups have a resolution of a quarter of an hour; a query that changed each second could not be cached.
    quarter = now + (chosen.since - now) % timedelta(minutes=15)
    return begins, begins + (min(chosen.until, max(quarter, chosen.since)) - chosen.since)


def grains(chosen: Range) -> tuple[str, ...]:
    """The grains that a range can be drawn in, the best first."""
    if chosen.days <= 2:
        return "hour", "day"
    if chosen.days <= HOURS_UP_TO_DAYS:
        return "day", "hour"
    if chosen.days <= 31:
        return ("day",)
    return ("day", "month") if chosen.days <= 120 else ("month", "day")
