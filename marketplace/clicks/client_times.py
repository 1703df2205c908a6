"""Times as clients write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta

ClientTime = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str
"""Epoch milliseconds, or ISO 8601 with an offset. The bounds end the decoding of a body at its first endless number."""

MAX_TIME_MS: Final = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z, the last instant a date type can hold."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def parse_time_ms(value: ClientTime) -> int:
    """Epoch milliseconds of an ISO 8601 time with an offset, or of epoch milliseconds themselves.

    Raises:
        ValueError: Not a time, without an offset, before 1970 or after 9999; the message is a plain reason.
    """
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("not an ISO 8601 time, such as 2026-01-31T12:00:00Z") from None
        if instant.tzinfo is None:
            raise ValueError("has no offset from UTC; write 2026-01-31T12:00:00Z")
        value = (instant - _EPOCH) // _MILLISECOND
    if value < 0:
        raise ValueError("is before 1970")
    if value > MAX_TIME_MS:
        raise ValueError("is after the year 9999")
    return value
