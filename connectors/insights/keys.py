"""Buckets and ranges of time, as SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

WEEKHOUR: Final = "weekhour"
"""The bucket of a day of the week (1 for Monday) and an hour."""


def time_range(column: str, since: datetime | None, until: datetime | None) -> str:
    """A condition on a time, with its AND; empty where both ends are open."""
    return "".join(
        f" AND {column} {sign} {moment_of(moment)}"
        for sign, moment in ((">=", since), ("<", until))
        if moment is not None
    )


def moment_of(moment: datetime) -> str:
    """A moment, to the second."""
    return f"toDateTime({int(moment.timestamp())}, 'UTC')"


def day_key(bucket: str) -> str:
    """The bucket of a row of days."""
    return {"": "0", "day": "toDate(bucket)", "month": "toStartOfMonth(toDate(bucket))"}[bucket]


def bucket_key(bucket: str, column: str, zone: ZoneInfo) -> str:
    """The bucket of an instant on the store's wall clock; the key of an hour is the instant at which it began."""
    instant = f"toDateTime({column}, 'UTC')"
    local = f"toTimeZone({instant}, '{zone.key}')"
    return {
        "": "0",
        # Whole hours of the wall clock: the part of the zone's offset beyond whole hours shifts the boundary.
        "hour": f"{instant} - modulo(toUnixTimestamp({instant}) + timezoneOffset({local}), 3600)",
        "day": f"toDate({local})",
        "month": f"toStartOfMonth(toDate({local}))",
        WEEKHOUR: f"(toDayOfWeek({local}), toHour({local}))",
    }[bucket]
