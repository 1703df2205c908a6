"""Dates and times as options of commands have them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from connectors.insights.report import InvalidQuery


def read_moment(text: str | None, option: str) -> datetime | None:
    """The date or time of an option, with a zone only if it names one.

    Raises:
        InvalidQuery: It is none.
    """
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidQuery(f"{option} {text!r}: give a date or time such as 2026-05-17 or 2026-05-17T10:00") from error


def read_range(since: str | None, until: str | None, last: str) -> tuple[datetime | None, datetime | None]:
    """The two ends of a range.

    Args:
        since: The text of ``--from``.
        until: The text of the option ``last``, the first moment after the range.
        last: That option's name.

    Raises:
        InvalidQuery: One is no date or time, or the range is empty.
    """
    first, end = read_moment(since, "--from"), read_moment(until, last)
    if first and end and not first.replace(tzinfo=None) < end.replace(tzinfo=None):
        raise InvalidQuery(f"--from {since} {last} {until}: the range is empty; {last} is the first moment after it")
    return first, end


def epoch_ms_in(moment: datetime | None, zone: str) -> int | None:
    """A moment in epoch milliseconds; one that names no zone is read in this one."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp() * 1_000)
