"""Times of logs as epoch milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from marketplace.access_logs.requests import UnparseableLine

_TIME: Final = re.compile(
    rb"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?: ([+-])(\d\d):?(\d\d))?"
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), start=1
    )
}
_EPOCH: Final = re.compile(r"\d{9,19}(?:\.\d{1,9})?")
_MILLISECONDS: Final = 100_000_000_000
"""Seconds since 1970 are smaller until the year 5138, and milliseconds larger since 1973."""


@lru_cache(maxsize=1_024)
def log_time_ms(text: bytes, zone: tzinfo | None = None) -> int:
    """Epoch milliseconds of ``17/May/2015:10:05:03 +0000``.

    Args:
        text: The time, with or without a fraction of a second.
        zone: The zone of a time that names no offset; None where it has to.

    Raises:
        UnparseableLine: Not of that form, not a date, or before 1970.
    """
    match = _TIME.fullmatch(text)
    if match is None or match[2] not in _MONTHS or (match[8] is None and zone is None):
        raise UnparseableLine("the time is not of the form 17/May/2015:10:05:03 +0000")
    day, year, hour, minute, second = (int(match[group]) for group in (1, 3, 4, 5, 6))
    try:
        if match[8] is not None:
            offset = timedelta(hours=int(match[9]), minutes=int(match[10]))
            zone = timezone(offset if match[8] == b"+" else -offset)
        # A leap second is logged as :60; it is the last moment of its minute for every clock after it.
        instant = datetime(year, _MONTHS[match[2]], day, hour, minute, min(second, 59), tzinfo=zone)
        return _epoch_ms(instant) + int((match[7] or b"0").ljust(3, b"0")[:3])
    except (ValueError, OverflowError) as error:
        raise UnparseableLine(f"the time is not a date: {error}") from None


@lru_cache(maxsize=1_024)
def iso_time_ms(text: str, zone: tzinfo) -> int:
    """Epoch milliseconds of ``2026-11-20T09:12:00.123Z``, or with a blank for the ``T``.

    Args:
        text: ISO 8601, with or without a fraction and an offset.
        zone: The zone of a time that names no offset.

    Raises:
        UnparseableLine: Not of that form, not a date, or before 1970.
    """
    try:
        instant = datetime.fromisoformat(text.replace(" +", "+", 1))
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=zone)
        return _epoch_ms(instant) + instant.microsecond // 1_000
    except (ValueError, OverflowError):
        raise UnparseableLine("the time is not of the form 2026-11-20T09:12:00Z") from None


def epoch_time_ms(number: float) -> int:
    """Epoch milliseconds of seconds, milliseconds, microseconds or nanoseconds since 1970, by their size.

    Raises:
        UnparseableLine: Negative or not finite.
    """
    if not 0 <= number < float("inf"):
        raise UnparseableLine("the time is before 1970")
    if number < _MILLISECONDS:
        return round(number * 1_000)
    while number >= _MILLISECONDS * 1_000:
        number /= 1_000
    return int(number)


def any_time_ms(value: object, zone: tzinfo) -> int:
    """Epoch milliseconds of a time in any of these forms, as JSON may have it.

    Raises:
        UnparseableLine: In none of them.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return epoch_time_ms(value)
    if not isinstance(value, str):
        raise UnparseableLine("the time is not there")
    text = value.strip("[] ")
    if _EPOCH.fullmatch(text):
        return epoch_time_ms(float(text))
    return log_time_ms(text.encode(), zone) if "/" in text[:3] else iso_time_ms(text, zone)


def _epoch_ms(instant: datetime) -> int:
    seconds = int(instant.replace(microsecond=0).astimezone(UTC).timestamp())
    if seconds < 0:
        raise UnparseableLine("the time is before 1970")
    return seconds * 1_000
