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
        InvalidQuery: One is no date or time.
    """
    return read_moment(since, "--from"), read_moment(until, last)


def check_range(first: datetime | None, end: datetime | None, zone: str, last: str) -> None:
    """Check that a range is not empty. Moments are compared and no times of day, of which some come twice a year.

    Args:
        first: Where it begins.
        end: The first moment after it.
        zone: In which those without a zone are read.
        last: The name of the option for the end.

    Raises:
        InvalidQuery: It is empty.
    """
    if first is None or end is None:
        return
    begins_ms, ends_ms = epoch_ms_in(first, zone), epoch_ms_in(end, zone)
    if begins_ms is not None and ends_ms is not None and begins_ms >= ends_ms:
        asked = f"--from {first.isoformat()} {last} {end.isoformat()}"
        raise InvalidQuery(f"{asked}: the range is empty; {last} is the first moment after it")


def epoch_ms_in(moment: datetime | None, zone: str) -> int | None:
    """A moment in epoch milliseconds; one that names no zone is read in this one."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp() * 1_000)
